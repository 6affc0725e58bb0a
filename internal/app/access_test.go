package app_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/internal/app"
	"sluice/internal/config"
	"sluice/internal/kafkatest"
	"sluice/internal/tlsconf/tlstest"
)

// secured is a gateway that serves HTTPS, and clients of it.
type secured struct {
	*app.App
	ca *tlstest.Authority
}

func newSecured(t *testing.T, change func(*config.Config)) secured {
	t.Helper()
	s := secured{ca: tlstest.NewAuthority(t, "ca")}
	own := s.ca.Issue(t, "gateway", time.Now().Add(time.Hour), "127.0.0.1")
	var err error
	s.App, err = app.New(options(t, func(c *config.Config) {
		c.Embedded = true
		c.TLS = config.TLS{
			CertFile: tlstest.File(t, "tls.pem", own.CertPEM+own.KeyPEM), ClientCAFile: tlstest.File(t, "ca.pem", s.ca.PEM), ClientAuth: "optional",
		}
		change(c)
	}))
	if err != nil {
		t.Fatal(err)
	}
	run(t, s.App)
	kafkatest.Eventually(t, patience, func() error {
		if got := state(s.App); strings.Contains(got, "false") {
			return errors.New(got)
		}
		return nil
	})
	return s
}

// client is somebody with a certificate of that name, "" for nobody.
func (s secured) client(t *testing.T, name string) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(s.ca.Cert)
	c := &tls.Config{RootCAs: roots}
	if name != "" {
		c.Certificates = []tls.Certificate{s.ca.Issue(t, name, time.Now().Add(time.Hour)).TLS()}
	}
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: c}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

func (s secured) do(t *testing.T, c *http.Client, method, path, body string) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.ProtoMajor != 2 {
		t.Fatalf("%s: %v", res.Proto, err)
	}
	return res.StatusCode, string(b)
}

func TestClientCertificatesArePrincipals(t *testing.T) {
	s := newSecured(t, func(c *config.Config) {
		c.Auth.Rules = []config.Rule{
			{Principals: []string{"cert:CN=billing"}, Actions: []string{"publish", "manage"}, Streams: []string{"bills"}, Schemas: []string{"Bill"}},
		}
	})
	billing := s.client(t, "billing")
	if status, text := s.do(t, billing, "POST", "/schemas/Bill/versions", `{"schema":{},"streams":["bills"]}`); status != 201 {
		t.Fatalf("%d %s", status, text)
	}
	for _, tc := range []struct {
		who, path string
		want      int
	}{{"billing", "/streams/bills", 201}, {"billing", "/streams/other", 403}, {"other", "/streams/bills", 403}, {"", "/streams/bills", 401}} {
		if status, text := s.do(t, s.client(t, tc.who), "POST", tc.path, "1"); status != tc.want {
			t.Errorf("%q to %s: %d %s", tc.who, tc.path, status, text)
		}
	}
	s.streamLines(t, billing)
}

// streamLines publishes line by line in one request, over HTTP/2: the result of
// each line comes while the request goes on.
func (s secured) streamLines(t *testing.T, c *http.Client) {
	t.Helper()
	body, lines := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL()+"/streams/bills", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Accept", "application/x-ndjson")
	go func() { _, _ = io.WriteString(lines, `{"data":0}`+"\n") }()
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	results := bufio.NewReader(res.Body)
	for i := range 3 {
		if line, err := results.ReadString('\n'); err != nil || !strings.Contains(line, fmt.Sprintf(`"offset":%d`, i+1)) {
			t.Fatalf("line %d: %s, %v", i, line, err)
		}
		if _, err := io.WriteString(lines, fmt.Sprintf(`{"data":%d}`+"\n", i+1)); err != nil {
			t.Fatal(err)
		}
	}
	lines.Close()
	if rest, err := io.ReadAll(results); err != nil || !strings.Contains(string(rest), `"stored":4`) {
		t.Errorf("%s, %v", rest, err)
	}
}

func TestAdminListener(t *testing.T) {
	s := newSecured(t, func(c *config.Config) { c.AdminListen = "127.0.0.1:0" })
	for path, want := range map[string]int{"/metrics": 200, "/health/ready": 200, "/streams": 404} {
		res, err := http.Get(s.AdminURL() + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
	if status, text := s.do(t, s.client(t, ""), "GET", "/metrics", ""); status != 404 {
		t.Errorf("%d %s", status, text)
	}
}

func TestAccessThatCannotBeConfigured(t *testing.T) {
	for key, change := range map[string]func(*config.Config){
		"auth.tokens[0]": func(c *config.Config) { c.Auth.Tokens = []config.Token{{Name: "a", SHA256: "b"}} },
		"auth.tokens[1]": func(c *config.Config) {
			one := config.Token{Name: "a", SHA256: strings.Repeat("0", 64)}
			c.Auth.Tokens = []config.Token{one, one}
		},
		"auth.rules[0]": func(c *config.Config) { c.Auth.Rules = []config.Rule{{Actions: []string{"publish"}}} },
		"tls.certfile":  func(c *config.Config) { c.TLS.CertFile = "/none" },
	} {
		o := options(t, change)
		if problems := app.Check(o.Config); len(problems) != 1 || problems[0].Key != key {
			t.Errorf("%s: %v", key, problems)
		}
	}
}
