package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"

	"sluice/internal/config"
)

// load reads a file's text, variables and arguments, and nothing else.
func load(t *testing.T, args []string, env map[string]string, file string) (config.Invocation, config.Problems) {
	t.Helper()
	if file != "" {
		args = append(args, "--config", "gateway.yaml")
	}
	return config.Load(config.Sources{
		Args:   args,
		Getenv: func(name string) string { return env[name] },
		ReadFile: func(path string) ([]byte, error) {
			if path != "gateway.yaml" || file == "" {
				return nil, errors.New("open " + path + ": no such file")
			}
			return []byte(file), nil
		},
	})
}

func mustLoad(t *testing.T, args []string, env map[string]string, file string) config.Config {
	t.Helper()
	inv, problems := load(t, args, env, file)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return inv.Config
}

func equal(t *testing.T, want, got config.Config) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(config.Config{}), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestNothingIsTheDefault(t *testing.T) {
	equal(t, config.Default(), mustLoad(t, nil, nil, ""))
	equal(t, config.Default(), mustLoad(t, nil, nil, "# nothing\n"))
}

func TestPrecedence(t *testing.T) {
	file := "client_id: file\ntopic_prefix: file.\nbootstrap_servers: [file:1, file:2]\nlog: {level: warn}\n"
	env := map[string]string{"SLUICE_TOPIC_PREFIX": "env.", "SLUICE_BOOTSTRAP_SERVERS": "env:1, env:2", "SLUICE_KAFKA_SETTINGS": `{"linger.ms": 5, "debug": "all", "socket.keepalive.enable": true}`}
	args := []string{"--kafka-servers", "flag:1", "--allow-anonymous", "--listen=:80"}
	want := config.Default()
	want.ClientID, want.TopicPrefix, want.BootstrapServers = "file", "env.", []string{"flag:1"}
	want.Log.Level, want.AllowAnonymous, want.Listen = "warn", true, ":80"
	want.KafkaSettings = config.Settings{"linger.ms": "5", "debug": "all", "socket.keepalive.enable": "true"}
	equal(t, want, mustLoad(t, args, env, file))
}

func TestEveryFlag(t *testing.T) {
	got := mustLoad(t, []string{
		"--listen", "localhost:1", "--data-dir", "/d", "--allow-anonymous", "--kafka-servers", "a:1,b:2",
		"--kafka-settings", `{"a": "b"}`, "--topic-prefix", "p.", "--replication-factor", "2",
	}, nil, "")
	want := config.Default()
	want.Listen, want.DataDir, want.AllowAnonymous = "localhost:1", "/d", true
	want.BootstrapServers, want.KafkaSettings = []string{"a:1", "b:2"}, config.Settings{"a": "b"}
	want.TopicPrefix, want.ReplicationFactor = "p.", 2
	equal(t, want, got)
	if !mustLoad(t, []string{"--embedded"}, nil, "").Embedded {
		t.Error("--embedded does nothing")
	}
	if mustLoad(t, []string{"--embedded=false"}, nil, "embedded: true").Embedded {
		t.Error("--embedded=false does nothing")
	}
}

// Each key is set by its variable, each to another value than its default.
func TestEveryVariable(t *testing.T) {
	for _, key := range keysOf("", reflect.TypeFor[config.Config]()) {
		env := map[string]string{}
		for _, text := range []string{"7", "true", "false", "20MiB", "error", "text", "sub:7", `{"a": "b"}`, "https://a.example", "read_uncommitted", "10.0.0.0/8", "optional", "PLAIN", "reads", "0.5", `[{"name": "a"}]`, `[{"actions": ["a"]}]`, strings.Repeat("A", 43) + "="} {
			env[config.EnvName(key)] = text
			inv, problems := load(t, nil, env, "")
			before, _ := config.Default().Dump()
			after, _ := inv.Config.Dump()
			if inv.Config.Explicit(key) && before != after && !about(problems, key) {
				env = nil
				break
			}
		}
		if env != nil {
			t.Errorf("%s does not set %s", config.EnvName(key), key)
		}
	}
}

func about(problems config.Problems, key string) bool {
	for _, p := range problems {
		if p.Key == key && key != "listen" {
			return true
		}
	}
	return false
}

func TestVariablesOfGroups(t *testing.T) {
	file := "ssl_context: {cafile: file.pem, check_hostname: false}\n"
	got := mustLoad(t, nil, map[string]string{"SLUICE_SSL_CONTEXT_PASSWORD": "pw"}, file).SSLContext
	want := &config.SSLContext{CAFile: "file.pem", Password: "pw", CheckHostname: new(false)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := mustLoad(t, nil, map[string]string{"SLUICE_SSL_CONTEXT": "{}"}, "").SSLContext; got == nil {
		t.Error("{} makes no ssl_context")
	}
	if got := mustLoad(t, nil, map[string]string{"SLUICE_CLIENT_ID": ""}, "ssl_context:\n"); got.SSLContext != nil || got.ClientID != "" {
		t.Error("what is empty is set")
	}
	if got := mustLoad(t, nil, nil, "ssl_context: {}").SSLContext; got == nil {
		t.Error("{} in the file makes no ssl_context")
	}
}

func TestTextIsTakenAsWritten(t *testing.T) {
	got := mustLoad(t, nil, nil, "sasl_plain_password: 007\nclient_id: yes\nkafka_settings: {a: 010, b: 1e3, c: off}\n")
	want := config.Settings{"a": "010", "b": "1e3", "c": "off"}
	if got.SASLPlainPassword.Reveal() != "007" || got.ClientID != "yes" || !cmp.Equal(want, got.KafkaSettings) {
		t.Errorf("%s, %s, %s", got.SASLPlainPassword.Reveal(), got.ClientID, got.KafkaSettings)
	}
}

func TestCommands(t *testing.T) {
	for args, want := range map[string]config.Command{
		"":                        config.Serve,
		"serve":                   config.Serve,
		"--listen 127.0.0.1:1":    config.Serve,
		"check":                   config.Check,
		"check --topic-prefix a.": config.Check,
		"--topic-prefix a. check": config.Check,
		"version":                 config.Version,
		"token ci":                config.MakeToken,
		"help":                    config.Help,
		"--help":                  config.Help,
		"check -h":                config.Help,
	} {
		inv, problems := load(t, strings.Fields(args), nil, "")
		if inv.Command != want || len(problems) > 0 {
			t.Errorf("%q: %s, %v", args, inv.Command, problems)
		}
	}
	for _, args := range []string{"run", "token", "token a b", "check ci", "check version", "check check", "--no-such", "--listen"} {
		if inv, problems := load(t, strings.Fields(args), nil, ""); len(problems) != 1 || inv.Command == config.Help {
			t.Errorf("%q: %s, %v", args, inv.Command, problems)
		}
	}
}

func TestHelpIsGivenWhateverTheFileSays(t *testing.T) {
	for _, command := range []string{"help", "version"} {
		if _, problems := load(t, []string{command}, nil, "no: such key"); len(problems) > 0 {
			t.Errorf("%s: %v", command, problems)
		}
	}
}

func TestUsageNamesEveryFlag(t *testing.T) {
	for _, name := range []string{"config", "listen", "embedded", "data-dir", "allow-anonymous", "kafka-servers", "kafka-settings", "topic-prefix", "replication-factor"} {
		if !strings.Contains(config.Usage, "  --"+name+" ") {
			t.Errorf("--%s is not in the usage", name)
		}
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, problems := load(t,
		[]string{"--replication-factor", "two"},
		map[string]string{"SLUICE_SHUTDOWN_TIMEOUT": "soon", "SLUICE_AUTO_CREATE": "perhaps"},
		"lissen: x\nlimits: {record: 1MB, page: 1}\nlog: text\nauto_commit_interval_ms: 0\nlisten: 0.0.0.0:80\nclient_id: a\nclient_id: b\n")
	want := []string{
		"lissen: there is no such key (gateway.yaml, line 1)",
		`limits.record: a size is a number of bytes, or a number with a unit: "64KiB", "1MiB", "2GiB" (gateway.yaml, line 2)`,
		"limits.page: there is no such key (gateway.yaml, line 2)",
		"log: keys and values are expected here (gateway.yaml, line 3)",
		"client_id: it is set twice (gateway.yaml, line 7)",
		`shutdown_timeout: a duration is a number of seconds, or a number with a unit: "500ms", "20s", "15m", "12h", "7d" (SLUICE_SHUTDOWN_TIMEOUT)`,
		"auto_create: it is true or false (SLUICE_AUTO_CREATE)",
		"replication_factor: it is a whole number (--replication-factor)",
		"listen: 0.0.0.0:80 can be reached from other machines, and no authentication is configured: whoever connects could publish, read and delete. Configure `auth`, listen on 127.0.0.1, or, where a proxy or the network keeps others out, say so with `allow_anonymous: true` (--allow-anonymous)",
		"auto_commit_interval_ms: it is at least 1",
	}
	if diff := cmp.Diff(want, strings.Split(problems.Error(), "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsRefused(t *testing.T) {
	for file, key := range map[string]string{
		"listen: 8080":                                       "listen",
		"listen: localhost:99999":                            "listen",
		"listen: ':8080'":                                    "listen",
		"listen: '[::]:8080'":                                "listen",
		"listen: 192.168.0.1:8080":                           "listen",
		"allowed_hosts: [http://a]":                          "allowed_hosts",
		"allowed_hosts: ['a:80']":                            "allowed_hosts",
		"allowed_hosts: ['*.a']":                             "allowed_hosts",
		"allowed_hosts: {a: b}":                              "allowed_hosts",
		"allowed_hosts: [[a]]":                               "allowed_hosts",
		"embedded: true\ndata_dir: ''":                       "data_dir",
		"limits: {record: 0}":                                "limits.record",
		"limits: {record: 2GiB}":                             "limits.record",
		"limits: {body: -1}":                                 "limits.body",
		"limits: {window_bytes: 1KiB}":                       "limits.window_bytes",
		"limits: {results: 0}":                               "limits.results",
		"limits: {window_records: 0}":                        "limits.window_records",
		"limits: {read_timeout: 0}":                          "limits.read_timeout",
		"limits: {write_timeout: 0}":                         "limits.write_timeout",
		"limits: {followers: 0}":                             "limits.followers",
		"limits: {feed_bytes: 1023KiB}":                      "limits.feed_bytes",
		"limits: {catch_up_bytes: 0}":                        "limits.catch_up_bytes",
		"limits: {group_members: -1}":                        "limits.group_members",
		"metrics: {subscriptions: -1}":                       "metrics.subscriptions",
		"limits: {stream_lifetime: 999ms}":                   "limits.stream_lifetime",
		"keep_alive: 0":                                      "keep_alive",
		"isolation_level: serializable":                      "isolation_level",
		"cors: {allow_origins: [a.example]}":                 "cors.allow_origins",
		"cors: {allow_origins: ['null']}":                    "cors.allow_origins",
		"cors: {allow_origins: ['']}":                        "cors.allow_origins",
		"cors: {allow_origins: ['https://*.a']}":             "cors.allow_origins",
		"cors: {allow_origins: ['https://a/']}":              "cors.allow_origins",
		"cors: {allow_origins: ['https://A']}":               "cors.allow_origins",
		"cors: {allow_origins: ['https://a:443']}":           "cors.allow_origins",
		"cors: {allow_origins: ['http://a:80']}":             "cors.allow_origins",
		"cors: {allow_origins: ['https://b@a']}":             "cors.allow_origins",
		"cors: {allow_origins: ['https://']}":                "cors.allow_origins",
		"shutdown_timeout: 0":                                "shutdown_timeout",
		"admin_listen: 9090":                                 "admin_listen",
		"admin_listen: 127.0.0.1:8080":                       "admin_listen",
		"tls: {keyfile: a}":                                  "tls.certfile",
		"tls: {client_cafile: a}":                            "tls.client_auth",
		"tls: {client_auth: perhaps}":                        "tls.client_auth",
		"tls: {client_auth: optional}":                       "tls.certfile",
		"tls: {certfile: a, client_auth: required}":          "tls.client_cafile",
		"auth: {tokens: [a]}":                                "auth.tokens[0]",
		"auth: {tokens: {a: b}}":                             "auth.tokens",
		"auth: {tokens: [{name: a, hash: b}]}":               "auth.tokens[0].hash",
		"auth: {rules: [{actions: [publish]}]}":              "auth",
		"auth: {oidc: {audience: a}}":                        "auth.oidc.issuer",
		"auth: {oidc: {issuer: 'https://a'}}":                "auth.oidc.audience",
		"auth: {oidc: {issuer: 'http://a', audience: b}}":    "auth.oidc.issuer",
		"auth: {oidc: {issuer: 'https://a?b', audience: b}}": "auth.oidc.issuer",
		"auth: {oidc: {issuer: 'https://a', audience: b, jwks_url: 'http://c'}}": "auth.oidc.jwks_url",
		"auth: {pass_through: {basic: GSSAPI}}":                                  "auth.pass_through.basic",
		"auth: {pass_through: {bearer: true}, oidc: {principal_claim: ''}}":      "auth.oidc.principal_claim",
		"auth: {pass_through: {producers: 0}}":                                   "auth.pass_through.producers",
		"auth: {pass_through: {idle: 1ms}}":                                      "auth.pass_through.idle",
		"{embedded: true, auth: {pass_through: {basic: PLAIN}}}":                 "auth.pass_through",
		"auth: {event_token_keys: c2hvcnQ=}":                                     "auth.event_token_keys",
		"allow_anonymous: true\nauth: {tokens: [{name: a, sha256: b}]}":          "allow_anonymous",
		"webhooks: {allow_networks: [10.0.0.1]}":                                 "webhooks.allow_networks",
		"webhooks: {allow_networks: [10.0.0.1/8]}":                               "webhooks.allow_networks",
		"webhooks: {allow_networks: [localhost]}":                                "webhooks.allow_networks",
		"webhooks: {proxy: proxy.example:3128}":                                  "webhooks.proxy",
		"webhooks: {proxy: 'socks5://p:1080'}":                                   "webhooks.proxy",
		"webhooks: {proxy: 'http://p:1/a'}":                                      "webhooks.proxy",
		"webhooks: {secret_keys: c2hvcnQ=}":                                      "webhooks.secret_keys",
		"webhooks: {secret_keys: not base64}":                                    "webhooks.secret_keys",
		"audit: {required: true}":                                                "audit.log",
		"audit: {log: a, stream: b}":                                             "audit.stream",
		"audit: {stream: _x}":                                                    "audit.stream",
		"audit: {stream: x.dead-letter}":                                         "audit.stream",
		"log: {stream: x}\naudit: {stream: x}":                                   "audit.stream",
		"audit: {log: stderr, events: []}":                                       "audit.events",
		"audit: {events: [changes, everything]}":                                 "audit.events",
		"log: {level: loud}":                                                     "log.level",
		"log: {format: xml}":                                                     "log.format",
		"log: {stream: _logs}":                                                   "log.stream",
		"log: {stream_level: loud}":                                              "log.stream_level",
		"log: {queue: 0}":                                                        "log.queue",
		"topic_prefix: 'a b'":                                                    "topic_prefix",
		"topic_prefix: __":                                                       "topic_prefix",
		"topic_prefix: a_sluice.":                                                "topic_prefix",
		"replication_factor: -1":                                                 "replication_factor",
		"replication_factor: 1.5":                                                "replication_factor",
		"default_partitions: -1":                                                 "default_partitions",
		"auto_commit_interval_ms: -1":                                            "auto_commit_interval_ms",
		"publish_timeout: 0":                                                     "publish_timeout",
		"publish_timeout: 2d":                                                    "publish_timeout",
		"kafka_settings: [a]":                                                    "kafka_settings",
		"kafka_settings: {a: {b: c}}":                                            "kafka_settings",
		"kafka_settings: {a: null}":                                              "kafka_settings",
		"kafka_settings: {a: 1, a: 2}":                                           "kafka_settings",
		"ssl_context: a.pem":                                                     "ssl_context",
		"ssl_context: {cafiel: a}":                                               "ssl_context.cafiel",
		"retry_backoff_ms: 100ms":                                                "retry_backoff_ms",
		"kafka: {bootstrap_servers: [a:1]}":                                      "kafka",
		"[a, b]":                                                                 "",
		"a: [":                                                                   "",
		"client_id: a\n---\nclient_id: b\n":                                      "",
		"topic_prefix: " + strings.Repeat("a", 220):                              "topic_prefix",
	} {
		if _, problems := load(t, nil, nil, file); len(problems) != 1 || problems[0].Key != key {
			t.Errorf("%q: %v; want one problem of %q", file, problems, key)
		}
	}
	if _, problems := load(t, []string{"--config", "none.yaml"}, nil, ""); len(problems) != 1 {
		t.Errorf("no file: %v", problems)
	}
	if _, problems := load(t, nil, map[string]string{"SLUICE_CONFIG": "none.yaml"}, ""); len(problems) != 1 {
		t.Errorf("no file of the variable's: %v", problems)
	}
}

func TestOriginsThatAreTaken(t *testing.T) {
	for _, origin := range []string{"*", "https://app.example", "http://localhost:3000", "http://[::1]:8080", "https://a:80"} {
		if _, problems := load(t, nil, map[string]string{"SLUICE_CORS_ALLOW_ORIGINS": origin}, ""); len(problems) > 0 {
			t.Errorf("%s: %v", origin, problems)
		}
	}
}

func TestLoopback(t *testing.T) {
	for listen, want := range map[string]bool{
		"127.0.0.1:80": true, "127.1.2.3:80": true, "[::1]:80": true, "localhost:80": true,
		":80": false, "0.0.0.0:80": false, "[::]:80": false, "10.0.0.1:80": false, "gateway.example:80": false,
	} {
		c := config.Default()
		c.Listen = listen
		if c.LoopbackOnly() != want || (len(c.Validate()) == 0) != want {
			t.Errorf("%s: loopback %v, %v", listen, c.LoopbackOnly(), c.Validate())
		}
		c.AllowAnonymous = true
		if problems := c.Validate(); len(problems) > 0 {
			t.Errorf("%s, anonymous: %v", listen, problems)
		}
	}
}

func TestEmbeddedExcludesAnotherBroker(t *testing.T) {
	for _, file := range []string{"bootstrap_servers: [localhost:9092]", "security_protocol: SSL", "ssl_context: {}", "sasl_plain_username: a"} {
		_, problems := load(t, []string{"--embedded"}, nil, file)
		if len(problems) != 1 || !strings.HasPrefix(file, problems[0].Key) || !strings.Contains(problems[0].Message, "its own broker") {
			t.Errorf("%s: %v", file, problems)
		}
	}
	for _, env := range []string{"SLUICE_BOOTSTRAP_SERVERS", "SLUICE_SSL_CONTEXT_CAFILE"} {
		if _, problems := load(t, []string{"--embedded"}, map[string]string{env: "a:1"}, ""); len(problems) != 1 {
			t.Errorf("%s: %v", env, problems)
		}
	}
	if _, problems := load(t, []string{"--embedded", "--kafka-servers", "a:1"}, nil, ""); len(problems) != 1 {
		t.Errorf("--kafka-servers: %v", problems)
	}
}

func TestProblemsAsError(t *testing.T) {
	if err := config.Problems(nil).Err(); err != nil {
		t.Errorf("no problems make the error %v", err)
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	c := mustLoad(t, nil, nil, `
sasl_plain_password: hush1
ssl_context: {keydata: hush2, password: hush3}
sasl_oauth_token_provider: {client_id: known, client_secret: hush4}
kafka_settings: {sasl.password: hush5, ssl.key.pem: hush6, sasl.oauthbearer.config: hush7, linger.ms: 31, ssl.keystore.password: hush8, sasl.jaas.config: hush9}
`)
	dump, err := c.Dump()
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", c, "password", c.SASLPlainPassword, "settings", c.KafkaSettings)
	for _, s := range []string{dump, string(asJSON), log.String(), fmt.Sprintf("%v %+v %#v %+v", c, c, c, c.SSLContext)} {
		if strings.Contains(s, "hush") {
			t.Errorf("shown:\n%s", s)
		}
	}
	for _, s := range []string{"<redacted>", "client_id: known", `linger.ms: "31"`} {
		if !strings.Contains(dump, s) {
			t.Errorf("the dump lacks %s:\n%s", s, dump)
		}
	}
}

func TestProblemsShowNoSecret(t *testing.T) {
	for _, file := range []string{
		"sasl_plain_password: *hush", "sasl_plain_password: [hush]", "sasl_plain_password: {hush: 1}", "sasl_plain_password: !!int hush\nx: [",
		"kafka_settings: hush", "kafka_settings: {sasl.password: [hush]}", "ssl_context: hush",
	} {
		_, problems := load(t, nil, nil, file)
		if len(problems) == 0 || strings.Contains(problems.Error(), "hush") {
			t.Errorf("%s: %v", file, problems)
		}
	}
	_, problems := load(t, []string{"--kafka-settings", "{hush"}, map[string]string{"SLUICE_SSL_CONTEXT": "{hush"}, "")
	if len(problems) != 2 || strings.Contains(problems.Error(), "hush") {
		t.Errorf("%v", problems)
	}
}

func TestSecret(t *testing.T) {
	s := config.Secret("hush")
	asYAML, _ := yaml.Marshal(s)
	asJSON, _ := json.Marshal(s)
	var fromJSON string // encoding/json writes "<" as an escape
	if err := json.Unmarshal(asJSON, &fromJSON); err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{s.String(), fmt.Sprintf("%#v", s), s.LogValue().String(), fromJSON, string(asYAML)} {
		if !strings.Contains(got, "<redacted>") || strings.Contains(got, "hush") {
			t.Error(got)
		}
	}
	if s.Reveal() != "hush" || config.Secret("").String() != "" {
		t.Error("a secret is not what it was made of")
	}
}

func TestDumpLoadsAgain(t *testing.T) {
	c := mustLoad(t, nil, nil, "listen: localhost:1\nlimits: {record: 3KiB}\npublish_timeout: 90s\nssl_context: {cafile: a}\nretry_backoff_ms: 3\n")
	dump, err := c.Dump()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, c, mustLoad(t, nil, nil, dump))
}

func TestSize(t *testing.T) {
	for text, want := range map[string]config.Size{"0": 0, "7": 7, "7B": 7, "1KiB": 1024, "1 MiB": 1 << 20, "3GiB": 3 << 30} {
		var got config.Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
		var again config.Size
		if err := again.UnmarshalText([]byte(got.String())); err != nil || again != got {
			t.Errorf("%s is written %s", text, got)
		}
	}
	for _, text := range []string{"", "-1", "1MB", "1.5MiB", "MiB", "9999999999GiB", "0x10", "1 M"} {
		var s config.Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %d", text, s)
		}
	}
}

func TestDuration(t *testing.T) {
	var d config.Duration
	for text, want := range map[string]time.Duration{"20": 20 * time.Second, "0.5": time.Second / 2, "7d": 7 * 24 * time.Hour} {
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want {
			t.Errorf("%s: %s, %v", text, d, err)
		}
	}
	if err := d.UnmarshalText([]byte("soon")); err == nil || strings.Contains(err.Error(), "invalid-request") {
		t.Errorf("error %v", err)
	}
}

func TestAuthentication(t *testing.T) {
	c := mustLoad(t, []string{"--listen", ":8080"}, map[string]string{"SLUICE_AUTH_TOKENS": `[{"name": "a", "sha256": "b"}]`}, `
auth:
  rules:
    - principals: ["token:a"]
      actions: [publish]
      streams: orders.*
    - claims: {role: admin}
      actions: [manage]
`)
	want := config.Default().Auth
	want.Tokens = []config.Token{{Name: "a", SHA256: "b"}}
	want.Rules = []config.Rule{
		{Principals: []string{"token:a"}, Actions: []string{"publish"}, Streams: []string{"orders.*"}},
		{Claims: config.Settings{"role": "admin"}, Actions: []string{"manage"}},
	}
	if diff := cmp.Diff(want, c.Auth); diff != "" || !c.Authenticated() {
		t.Errorf("authenticated: %v, %s", c.Authenticated(), diff)
	}
	if config.Default().Authenticated() {
		t.Error("nobody is configured, and asked all the same")
	}
}
