package kafka_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// A token is renewed in time, by every client: after the first one's end they
// log in with the second.
func TestTokenFileIsReadAgain(t *testing.T) {
	k := kafkatest.KafkaSecured(t)
	path := filepath.Join(t.TempDir(), "token")
	const life = 10 * time.Second // renewed after 8, logged in with anew after 9
	over := time.Now().Add(life + time.Second)
	write(t, path, validFor(t, life))
	g := startWith(t, k.Broker, quickToIdle(withToken(secured(k, "SASL_SSL", ""), path)))
	reader := kafka.NewReader(g.Cluster, stream.Topics{Prefix: k.Prefix()})
	defer reader.Close()
	topic := k.Topic(t, "orders", 1, nil)
	publishOne(t, g, reader, topic)
	write(t, path, validFor(t, time.Hour))
	if err := g.AskFirst(3000); err != nil {
		t.Errorf("a new client has no token at once: %v", err)
	}
	until(t, over)
	publishOne(t, g, reader, topic)
}

// A file that is not there yet is named, and used once it is.
func TestTokenFileThatComesLate(t *testing.T) {
	k := kafkatest.KafkaSecured(t)
	path := filepath.Join(t.TempDir(), "token")
	c, log := troubled(t, withToken(secured(k, "SASL_PLAINTEXT", ""), path))
	if reason := named(t, c); !strings.Contains(reason, "`sasl_oauth_token_provider.token_file`") || !strings.Contains(reason, path) {
		t.Errorf("the reason is %q", reason)
	}
	lines := func() error { // of each client one
		if n := log.count("no token to log in to kafka with"); n != 2 {
			return fmt.Errorf("%d lines name the file:\n%s", n, log)
		}
		return nil
	}
	kafkatest.Eventually(t, patience, lines)
	write(t, path, validFor(t, time.Hour))
	kafkatest.Eventually(t, patience, c.Reachable)
	if err := lines(); err != nil {
		t.Error(err)
	}
	if c.Diagnosis() != "" {
		t.Errorf("still said: %q", c.Diagnosis())
	}
}

// Tokens of an endpoint are fetched by librdkafka itself, and again before they
// end.
func TestTokenEndpoint(t *testing.T) {
	k := kafkatest.KafkaSecured(t)
	const life = 5 * time.Second
	var fetched atomic.Int32
	url := endpoint(t, func() (int, string) { fetched.Add(1); return http.StatusOK, validFor(t, life) })
	over := time.Now().Add(life + time.Second)
	g := startWith(t, k.Broker, quickToIdle(oidc(secured(k, "SASL_SSL", ""), url)))
	reader := kafka.NewReader(g.Cluster, stream.Topics{Prefix: k.Prefix()})
	defer reader.Close()
	topic := k.Topic(t, "orders", 1, nil)
	publishOne(t, g, reader, topic)
	until(t, over)
	publishOne(t, g, reader, topic)
	if n := fetched.Load(); n < 6 { // control, producer, reader: twice each
		t.Errorf("%d tokens were fetched", n)
	}
}

func TestTokenEndpointTrouble(t *testing.T) {
	k := kafkatest.KafkaSecured(t)
	for name, test := range map[string]struct {
		url  string
		want string
	}{
		"refuses the client": {
			endpoint(t, func() (int, string) { return http.StatusUnauthorized, "" }),
			"`sasl_oauth_token_provider.token_endpoint_url` gives no token: see its `client_id`, `client_secret` and `scope`",
		},
		"does not answer": {
			"http://" + closedPort(t) + "/token",
			"`sasl_oauth_token_provider.token_endpoint_url` gives no token",
		},
		"tokens that the broker refuses": {
			endpoint(t, func() (int, string) {
				return http.StatusOK, token(t, map[string]any{"sub": "gateway", "iat": time.Now().Add(time.Hour).Unix(), "exp": time.Now().Add(2 * time.Hour).Unix()})
			}),
			"refuses the token of `sasl_oauth_token_provider.token_endpoint_url`",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, log := troubled(t, oidc(secured(k, "SASL_PLAINTEXT", ""), test.url))
			reason := named(t, c)
			if !strings.Contains(reason, test.want) {
				t.Errorf("the reason is %q, without %q", reason, test.want)
			}
			toldOnce(t, c, log, reason)
			if strings.Contains(log.String(), "s3cret") {
				t.Errorf("the client's secret is told:\n%s", log)
			}
		})
	}
}

func oidc(o kafka.Options, url string) kafka.Options {
	o.SASL = kafka.SASL{Mechanism: "OAUTHBEARER", OAuth: kafka.OAuth{TokenEndpointURL: url, ClientID: "gateway", ClientSecret: "s3cret"}}
	return o
}

// endpoint serves tokens as OpenID Connect providers do, to whoever has the
// secret.
func endpoint(t *testing.T, answer func() (status int, token string)) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, secret, _ := r.BasicAuth(); secret != "s3cret" {
			t.Errorf("the endpoint was asked with the secret %q", secret)
		}
		status, token := answer()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "bearer", "expires_in": 5})
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// quickToIdle makes connections end soon when they are not used, so that the
// next use logs in again.
func quickToIdle(o kafka.Options) kafka.Options {
	idle := 1000
	o.Client.ConnectionsMaxIdleMs = &idle
	return o
}

// publishOne sends a record to a topic of one partition and reads it, with both
// of the reader's consumers.
func publishOne(t *testing.T, g *gateway, r *kafka.Reader, topic string) {
	t.Helper()
	got := await(t, g.send(stream.Message{Topic: topic, Value: []byte(`1`)}))
	if got.err != nil {
		t.Fatal(got.err)
	}
	_, name, _ := strings.Cut(topic, ".")
	for range 2 {
		if _, err := r.Read(t.Context(), name, 0, got.report.Offset); err != nil {
			t.Fatal(err)
		}
	}
}

// until returns when a moment has passed.
func until(t *testing.T, moment time.Time) {
	t.Helper()
	kafkatest.Eventually(t, patience, func() error {
		if left := time.Until(moment); left > 0 {
			return fmt.Errorf("%v left", left)
		}
		return nil
	})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	next := path + ".next" // a reader sees the old text or the new one
	if err := errors.Join(os.WriteFile(next, []byte(text), 0o600), os.Rename(next, path)); err != nil {
		t.Fatal(err)
	}
}
