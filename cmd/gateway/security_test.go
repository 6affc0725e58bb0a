package main_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/kafkatest"
)

// checkWithin is how long `gateway check` may take to say what is wrong.
const checkWithin = 10 * time.Second

// configure writes a configuration file.
func configure(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What a user meets who has one thing wrong: the key to change, soon, and no
// secret.
func TestCheckNamesTheKey(t *testing.T) {
	k := kafkatest.KafkaSecured(t)
	scram := "bootstrap_servers: [%s]\nsecurity_protocol: SASL_SSL\nsasl_mechanism: SCRAM-SHA-256\nsasl_plain_username: scram256\nsasl_plain_password: %s\nssl_context: {cafile: %s}\n"
	for name, test := range map[string]struct {
		config string
		code   int
		want   string
	}{
		"nothing wrong":  {fmt.Sprintf(scram, k.SASLSSL, "scram256-secret", k.File("ca.crt")), 0, "# Kafka answers."},
		"wrong password": {fmt.Sprintf(scram, k.SASLSSL, "not-the-secret", k.File("ca.crt")), 1, "the broker refuses `sasl_plain_username` or `sasl_plain_password` (SCRAM-SHA-256)"},
		"unknown CA":     {fmt.Sprintf(scram, k.SASLSSL, "scram256-secret", k.File("other-ca.crt")), 1, "not signed by a CA in `ssl_context.cafile`"},
		"no TLS":         {fmt.Sprintf("bootstrap_servers: [%s]\n", k.SSL), 1, "`security_protocol` is PLAINTEXT, but " + k.SSL + " speaks TLS: set it to SSL or SASL_SSL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			cmd := exec.CommandContext(t.Context(), binary, "check", "--config", configure(t, test.config))
			text, _ := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != test.code || !strings.Contains(string(text), test.want) {
				t.Errorf("exit code %d, want %d, with %q in:\n%s", got, test.code, test.want, text)
			}
			if took := time.Since(begin); took > checkWithin {
				t.Errorf("it took %v", took)
			}
			if strings.Contains(string(text), "-secret") {
				t.Errorf("a secret is told:\n%s", text)
			}
		})
	}
}

// The embedded broker is reached with the same client, whose settings are
// checked too.
func TestCheckOfTheEmbeddedBrokersClient(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), binary, "check", "--embedded", "--kafka-settings", `{"acks": 1, "no.such.thing": 1}`)
	text, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != 2 || !strings.Contains(string(text), "kafka_settings.acks") || !strings.Contains(string(text), "kafka_settings.no.such.thing") {
		t.Errorf("exit code %d:\n%s", got, text)
	}
}

// A gateway that runs says why it is not ready, and serves again when Kafka is
// there.
func TestReadinessSaysWhy(t *testing.T) {
	b := kafkatest.Embedded(t)
	g := start(t, b)
	b.Stop(t)
	kafkatest.Eventually(t, patience, func() error {
		text := string(g.get(t, "/health/ready").body)
		if !strings.Contains(text, "nothing listens on "+b.Addr) {
			return errors.New(text)
		}
		return nil
	})
	b.Start(t)
	g.awaitReady(t)
}
