package kafka_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/tlsconf"
	"sluice/internal/tlsconf/tlstest"
)

// What is found by talking to servers that are no Kafka, or no usable one.
func TestExamineServers(t *testing.T) {
	ca, other := tlstest.NewAuthority(t, "ca"), tlstest.NewAuthority(t, "other")
	here := ca.Issue(t, "broker", time.Now().Add(time.Hour), "127.0.0.1")
	encrypted := func(identity tlstest.Identity) string {
		return serve(t, "127.0.0.1:0", func(c net.Conn) {
			s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{identity.TLS()}})
			_, _ = io.Copy(io.Discard, s)
		})
	}
	silent := serve(t, "127.0.0.1:0", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	closing := serve(t, "127.0.0.1:0", func(net.Conn) {})
	web := serve(t, "127.0.0.1:0", func(c net.Conn) {
		_, _ = c.Read(make([]byte, 100))
		_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
	})
	broker := kafkatest.Embedded(t).Addr
	trusting := func(authority *tlstest.Authority) *tlsconf.Context { return &tlsconf.Context{CAData: authority.PEM} }
	for name, test := range map[string]struct {
		servers []string
		tls     *tlsconf.Context // SSL, else PLAINTEXT
		want    string           // "" for nothing to find
	}{
		"a broker":                        {[]string{broker}, nil, ""},
		"a broker without TLS":            {[]string{broker}, trusting(ca), broker + " speaks no TLS"},
		"silence":                         {[]string{silent}, nil, silent + " takes connections, but does not answer as Kafka does"},
		"silence, with TLS":               {[]string{silent}, trusting(ca), silent + " takes connections, but speaks neither TLS nor Kafka"},
		"hanging up":                      {[]string{closing}, nil, closing + " takes connections, but does not answer as Kafka does"},
		"hanging up, with TLS":            {[]string{closing}, trusting(ca), closing + " takes connections, but speaks neither TLS nor Kafka"},
		"a web server":                    {[]string{web}, nil, web + " takes connections, but does not answer as Kafka does"},
		"a web server, with TLS":          {[]string{web}, trusting(ca), web + " takes connections, but speaks neither TLS nor Kafka"},
		"TLS and no Kafka":                {[]string{encrypted(here)}, trusting(ca), "does not answer as Kafka does"},
		"TLS of another authority":        {[]string{encrypted(here)}, trusting(other), "is not signed by a CA in `ssl_context.cadata`"},
		"TLS of one the system knows not": {[]string{encrypted(here)}, &tlsconf.Context{}, "is not signed by a CA in the system's list: set `ssl_context.cafile`"},
		"TLS of nobody here": {
			[]string{encrypted(ca.Issue(t, "x", time.Now().Add(time.Hour), "kafka.example"))},
			trusting(ca),
			"is for kafka.example: use such a name in `bootstrap_servers`, or set `ssl_context.check_hostname` to false",
		},
		"TLS of nobody at all":        {[]string{encrypted(ca.Issue(t, "x", time.Now().Add(time.Hour)))}, trusting(ca), "`ssl_context.check_hostname`"},
		"TLS that is over":            {[]string{encrypted(ca.Issue(t, "x", time.Now().Add(-time.Minute), "127.0.0.1"))}, trusting(ca), `the certificate of "CN=x"`},
		"the one that got furthest":   {[]string{closedPort(t), encrypted(here), "kafka.invalid:9092"}, trusting(other), "is not signed by a CA"},
		"one of several that is fine": {[]string{closedPort(t), broker, silent}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := kafka.Options{BootstrapServers: test.servers, SSL: test.tls}
			if test.tls != nil {
				o.SecurityProtocol = "SSL"
			}
			begin := time.Now()
			got := kafka.Examine(t.Context(), o)
			if !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
				t.Errorf("found %q, want %q", got, test.want)
			}
			t.Logf("it took %v", time.Since(begin))
		})
	}
}

// A trouble that lasts is told once by the diagnosis and once by each client,
// however often they try; and the reason stays.
func TestLastingTroubleIsToldOnce(t *testing.T) {
	begin := time.Now()
	c, log := troubled(t, kafka.Options{BootstrapServers: []string{closedPort(t)}})
	reason := named(t, c)
	kafkatest.Eventually(t, patience, func() error {
		if c.Diagnosis() != reason {
			t.Fatalf("the diagnosis became %q", c.Diagnosis())
		}
		if time.Since(begin) < 8*time.Second { // until it was looked into three times
			return errors.New("it has not lasted long enough")
		}
		return nil
	})
	toldOnce(t, c, log, reason)
	if n := log.count("level=WARN"); n > 2 {
		t.Errorf("%d warnings, of two clients:\n%s", n, log)
	}
}

// Without a reason to be found, none is given, and nothing is asked of a
// cluster that works.
func TestNoDiagnosisWhileAllIsWell(t *testing.T) {
	b := kafkatest.Embedded(t)
	g := start(t, b)
	if g.Diagnosis() != "" {
		t.Errorf("the diagnosis is %q", g.Diagnosis())
	}
	b.Stop(t)
	if reason := named(t, g.Cluster); !strings.Contains(reason, "nothing listens on "+b.Addr) {
		t.Errorf("the diagnosis is %q", reason)
	}
	b.Start(t)
	kafkatest.Eventually(t, patience, g.Reachable)
	if g.Diagnosis() != "" {
		t.Errorf("the diagnosis is still %q", g.Diagnosis())
	}
}
