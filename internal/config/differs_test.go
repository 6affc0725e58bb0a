package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
)

func TestDifferingKeys(t *testing.T) {
	text := "listen: 127.0.0.1:1\n"
	inv, problems := config.Load(config.Sources{
		Args: []string{"--config", "x.yaml", "--topic-prefix", "p."}, Getenv: func(string) string { return "" },
		ReadFile: func(string) ([]byte, error) { return []byte(text), nil },
	})
	if len(problems) > 0 || inv.Config.File() != "x.yaml" {
		t.Fatalf("%v, %q", problems, inv.Config.File())
	}
	again, problems := inv.Config.Again()
	if keys := inv.Config.Differs(again); len(keys) > 0 || len(problems) > 0 {
		t.Errorf("nothing has changed but %v, %v", keys, problems)
	}
	text = "limits: {body: 1MiB}\nssl_context: {}\nauth: {tokens: [{name: a, sha256: b}], oidc: {audience: x, issuer: 'https://a'}}\n"
	again, problems = inv.Config.Again()
	want := []string{"listen", "limits.body", "auth.tokens", "auth.oidc.issuer", "auth.oidc.audience", "ssl_context"}
	if diff := cmp.Diff(want, inv.Config.Differs(again)); diff != "" || len(problems) > 0 || again.TopicPrefix != "p." {
		t.Errorf("%v\n%s", problems, diff)
	}
	text = "lissen: x"
	if _, problems := again.Again(); len(problems) != 1 {
		t.Errorf("got %v", problems)
	}
}
