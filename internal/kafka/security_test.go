package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/google/go-cmp/cmp"

	"sluice/internal/tlsconf"
	"sluice/internal/tlsconf/tlstest"
)

func TestSecurityProperties(t *testing.T) {
	const https, none = "https", "none"
	ca := tlstest.NewAuthority(t, "ca").PEM
	crl := tlstest.File(t, "crl.pem", "crl")
	file := func(text string) string { return tlstest.File(t, "x.pem", text) }
	for name, test := range map[string]struct {
		options Options
		want    ckafka.ConfigMap
	}{
		"plaintext": {Options{SecurityProtocol: "PLAINTEXT"}, ckafka.ConfigMap{"security.protocol": "plaintext"}},
		"files": {
			Options{SecurityProtocol: "SSL", SSL: &tlsconf.Context{
				CAFile: file(ca), CertFile: file("cert"), KeyFile: file("key"), PasswordFile: file("pw\n"), CRLFile: crl, Ciphers: "c",
			}},
			ckafka.ConfigMap{
				"security.protocol": "ssl", "ssl.ca.pem": ca, "ssl.certificate.pem": "cert", "ssl.key.pem": "key",
				"ssl.key.password": "pw", "ssl.crl.location": crl, "ssl.cipher.suites": "c", "ssl.endpoint.identification.algorithm": https,
			},
		},
		"memory": {
			Options{SecurityProtocol: "ssl", SSL: &tlsconf.Context{CAData: ca, CertData: "cert", KeyData: "key", SkipHostname: true}},
			ckafka.ConfigMap{
				"security.protocol": "ssl", "ssl.ca.pem": ca, "ssl.certificate.pem": "cert", "ssl.key.pem": "key",
				"ssl.endpoint.identification.algorithm": none,
			},
		},
		"key beside": {
			Options{SecurityProtocol: "SSL", SSL: &tlsconf.Context{CertFile: file("both")}},
			ckafka.ConfigMap{
				"security.protocol": "ssl", "ssl.certificate.pem": "both", "ssl.key.pem": "both",
				"ssl.endpoint.identification.algorithm": https,
			},
		},
		"PLAIN": {
			Options{SecurityProtocol: "SASL_PLAINTEXT", SASL: SASL{Username: "u", Password: "p"}},
			ckafka.ConfigMap{"security.protocol": "sasl_plaintext", "sasl.mechanisms": "PLAIN", "sasl.username": "u", "sasl.password": "p"},
		},
		"SCRAM over TLS": {
			Options{SecurityProtocol: "SASL_SSL", SSL: &tlsconf.Context{}, SASL: SASL{Mechanism: "SCRAM-SHA-512", Username: "u", Password: "p"}},
			ckafka.ConfigMap{
				"security.protocol": "sasl_ssl", "sasl.mechanisms": "SCRAM-SHA-512", "sasl.username": "u", "sasl.password": "p",
				"ssl.endpoint.identification.algorithm": https,
			},
		},
		"OIDC": {
			Options{SecurityProtocol: "SASL_PLAINTEXT", SASL: SASL{Mechanism: "OAUTHBEARER", OAuth: OAuth{
				TokenEndpointURL: "https://idp/token", ClientID: "c", ClientSecret: "s", Scope: "kafka", Extensions: map[string]string{"b": "2", "a": "1"},
			}}},
			ckafka.ConfigMap{
				"security.protocol": "sasl_plaintext", "sasl.mechanisms": "OAUTHBEARER", "sasl.oauthbearer.method": "oidc",
				"sasl.oauthbearer.token.endpoint.url": "https://idp/token", "sasl.oauthbearer.client.id": "c",
				"sasl.oauthbearer.client.secret": "s", "sasl.oauthbearer.scope": "kafka", "sasl.oauthbearer.extensions": "a=1,b=2",
			},
		},
		"token file": {
			Options{SecurityProtocol: "SASL_PLAINTEXT", SASL: SASL{Mechanism: "OAUTHBEARER", OAuth: OAuth{TokenFile: "f"}}},
			ckafka.ConfigMap{"security.protocol": "sasl_plaintext", "sasl.mechanisms": "OAUTHBEARER"},
		},
		"GSSAPI": {
			Options{SecurityProtocol: "SASL_PLAINTEXT", SASL: SASL{Mechanism: "GSSAPI", KerberosService: "k", KerberosKeytab: "t", KerberosPrincipal: "p"}},
			ckafka.ConfigMap{
				"security.protocol": "sasl_plaintext", "sasl.mechanisms": "GSSAPI", "sasl.kerberos.service.name": "k",
				"sasl.kerberos.keytab": "t", "sasl.kerberos.principal": "p",
			},
		},
		"by settings": {
			Options{Settings: map[string]string{
				"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-256", "sasl_plain_username": "u", "sasl.password": "p",
				"ssl.ca.location": file(ca), "ssl.endpoint.identification.algorithm": "none", "ssl.sigalgs.list": "ECDSA+SHA256",
			}},
			ckafka.ConfigMap{
				"security.protocol": "sasl_ssl", "sasl.mechanisms": "SCRAM-SHA-256", "sasl.username": "u", "sasl.password": "p",
				"ssl.ca.pem": ca, "ssl.endpoint.identification.algorithm": none, "ssl.sigalgs.list": "ECDSA+SHA256",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.options.BootstrapServers = brokers
			got, err := test.options.clientConfig()
			if diff := cmp.Diff(base(test.want), got); diff != "" || err != nil {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func TestRequiredSecurityKeys(t *testing.T) {
	user, password := SASL{Username: "u"}, SASL{Password: "p"}
	scram := func(s SASL) SASL { s.Mechanism = "SCRAM-SHA-256"; return s }
	trust := &tlsconf.Context{}
	for name, test := range map[string]struct {
		options Options
		want    []Problem
	}{
		"SSL":             {Options{SecurityProtocol: "SSL"}, []Problem{{"ssl_context", "`ssl_context` is required"}}},
		"SASL_SSL":        {Options{SecurityProtocol: "SASL_SSL", SASL: SASL{Username: "u", Password: "p"}}, []Problem{{"ssl_context", "`ssl_context` is required"}}},
		"PLAIN, no user":  {Options{SecurityProtocol: "SASL_PLAINTEXT", SASL: password}, []Problem{{"sasl_plain_username", "`sasl_plain_username` is required when using SASL_PLAIN"}}},
		"PLAIN, no word":  {Options{SecurityProtocol: "SASL_SSL", SSL: trust, SASL: user}, []Problem{{"sasl_plain_password", "`sasl_plain_password` is required when using SASL_PLAIN"}}},
		"SCRAM, no user":  {Options{SecurityProtocol: "SASL_PLAINTEXT", SASL: scram(password)}, []Problem{{"sasl_plain_username", "`sasl_plain_username` is required when using SCRAM-SHA-256"}}},
		"SCRAM, no word":  {Options{SecurityProtocol: "SASL_PLAINTEXT", SASL: scram(user)}, []Problem{{"sasl_plain_password", "`sasl_plain_password` is required when using SCRAM-SHA-256"}}},
		"OAUTH, nothing":  {Options{SecurityProtocol: "SASL_PLAINTEXT", SASL: SASL{Mechanism: "OAUTHBEARER"}}, []Problem{{"sasl_oauth_token_provider", "`sasl_oauth_token_provider` is required when using OAUTHBEARER: its `token_endpoint_url` or its `token_file`"}}},
		"no protocol":     {Options{SecurityProtocol: "TLS"}, []Problem{{"security_protocol", "it is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"}}},
		"no mechanism":    {Options{SecurityProtocol: "SASL_PLAINTEXT", SASL: SASL{Mechanism: "MD5"}}, []Problem{{"sasl_mechanism", "it is PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or GSSAPI"}}},
		"idle ssl":        {Options{SSL: trust}, []Problem{{"ssl_context", "it is set, but PLAINTEXT uses no TLS: set `security_protocol` to SSL or SASL_SSL"}}},
		"idle user":       {Options{SecurityProtocol: "SSL", SSL: trust, SASL: user}, []Problem{{"security_protocol", "a `sasl_` key is set, but SSL logs nobody in: set it to SASL_SSL or SASL_PLAINTEXT"}}},
		"Kerberos domain": {Options{SecurityProtocol: "SASL_PLAINTEXT", SASL: SASL{Mechanism: "GSSAPI", KerberosDomain: "d"}}, gssapiProblems()},
		"nothing wrong":   {Options{SecurityProtocol: "SASL_SSL", SSL: trust, SASL: SASL{Username: "u", Password: "p"}}, nil},
		"trial tokens": {Options{
			SecurityProtocol: "SASL_PLAINTEXT", SASL: SASL{Mechanism: "OAUTHBEARER"},
			Settings: map[string]string{"enable.sasl.oauthbearer.unsecure.jwt": "true", "sasl.oauthbearer.config": "principal=me"},
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			test.options.BootstrapServers = brokers
			if diff := cmp.Diff(test.want, test.options.Validate()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// gssapiProblems depends on the librdkafka that is built in.
func gssapiProblems() []Problem {
	domain := Problem{"sasl_kerberos_domain_name", "librdkafka takes the broker's host name: remove it"}
	cfg := ckafka.ConfigMap{"builtin.features": "sasl_gssapi", "log_level": 0}
	if client, err := ckafka.NewAdminClient(&cfg); err == nil {
		client.Close()
		return []Problem{domain}
	}
	return []Problem{{"sasl_mechanism", "this build has no GSSAPI: build the gateway with `-tags dynamic` and the librdkafka that scripts/build-gssapi makes, or use another mechanism"}, domain}
}

func TestTokenProvider(t *testing.T) {
	const key = "sasl_oauth_token_provider"
	file := func(text string) string { return tlstest.File(t, "token", text) }
	jwt := func(claims string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln\n"
	}
	lasting := file(jwt(fmt.Sprintf(`{"sub":"me","exp":%d}`, time.Now().Add(time.Hour).Unix())))
	for name, test := range map[string]struct {
		oauth OAuth
		key   string // "" for no problem
	}{
		"endpoint":          {OAuth{TokenEndpointURL: "https://idp/token", ClientID: "c", ClientSecret: "s"}, ""},
		"file":              {OAuth{TokenFile: lasting}, ""},
		"both":              {OAuth{TokenEndpointURL: "https://idp/token", ClientID: "c", ClientSecret: "s", TokenFile: lasting}, key},
		"no URL":            {OAuth{TokenEndpointURL: "idp", ClientID: "c", ClientSecret: "s"}, key + ".token_endpoint_url"},
		"URL with password": {OAuth{TokenEndpointURL: "https://c:s@idp/token", ClientID: "c", ClientSecret: "s"}, key + ".token_endpoint_url"},
		"no client":         {OAuth{TokenEndpointURL: "https://idp/token", ClientSecret: "s"}, key + ".client_id"},
		"no secret":         {OAuth{TokenEndpointURL: "https://idp/token", ClientID: "c"}, key + ".client_secret"},
		"bad extension":     {OAuth{TokenEndpointURL: "https://idp/token", ClientID: "c", ClientSecret: "s", Extensions: map[string]string{"a": "1,2"}}, key + ".extensions"},
		"no file":           {OAuth{TokenFile: "/nonexistent"}, key + ".token_file"},
		"no token":          {OAuth{TokenFile: file("hello")}, key + ".token_file"},
		"no end":            {OAuth{TokenFile: file(jwt(`{"sub":"me"}`))}, key + ".token_file"},
		"ended":             {OAuth{TokenFile: file(jwt(`{"sub":"me","exp":1}`))}, key + ".token_file"},
		"file and client":   {OAuth{TokenFile: lasting, ClientID: "c"}, key + ".token_file"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Options{
				BootstrapServers: brokers, SecurityProtocol: "SASL_PLAINTEXT",
				SASL: SASL{Mechanism: "OAUTHBEARER", OAuth: test.oauth},
			}.Validate()
			if test.key == "" && len(got) > 0 || test.key != "" && (len(got) != 1 || got[0].Key != test.key) {
				t.Errorf("problems: %v; want one of %q", got, test.key)
			}
		})
	}
}

func TestReadToken(t *testing.T) {
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	claims := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"sub":"me","exp":%d.5}`, end.Unix()))
	got, err := readToken(tlstest.File(t, "token", " e30."+claims+".c2ln\n"), time.Now())
	want := ckafka.OAuthBearerToken{TokenValue: "e30." + claims + ".c2ln", Principal: "me", Expiration: end}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestCertificatesAreCheckedBeforeAnyConnection(t *testing.T) {
	client := tlstest.NewAuthority(t, "ca").Issue(t, "client", time.Now().Add(time.Hour))
	for name, test := range map[string]struct {
		context tlsconf.Context
		key     string
	}{
		"no file":        {tlsconf.Context{CAFile: "/nonexistent"}, "ssl_context.cafile"},
		"wrong password": {tlsconf.Context{CertData: client.CertPEM, KeyData: client.Encrypted(t, "yes"), Password: "no"}, "ssl_context.password"},
		"no cipher":      {tlsconf.Context{Ciphers: "ROT13"}, "ssl_context.ciphers"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Options{BootstrapServers: brokers, SecurityProtocol: "SSL", SSL: &test.context}.Validate()
			if len(got) != 1 || got[0].Key != test.key {
				t.Errorf("problems: %v; want one of %s", got, test.key)
			}
		})
	}
}

// What matters in the end is what librdkafka does with the properties: here it
// meets a TLS server that wants a certificate.
func TestLibrdkafkaShakesHands(t *testing.T) {
	const password = "correct horse"
	hour := time.Now().Add(time.Hour)
	ca, other := tlstest.NewAuthority(t, "ca"), tlstest.NewAuthority(t, "other")
	middle := ca.Intermediate(t, "middle")
	broker, client := ca.Issue(t, "broker", hour, "127.0.0.1"), ca.Issue(t, "client", hour)
	elsewhere, stranger := ca.Issue(t, "elsewhere", hour, "broker.example"), other.Issue(t, "stranger", hour, "127.0.0.1")
	indirect := middle.Issue(t, "indirect", hour)
	file := func(text string) string { return tlstest.File(t, "x.pem", text) }
	in := func(change func(*tlsconf.Context)) tlsconf.Context {
		c := tlsconf.Context{CAFile: file(ca.PEM), CertFile: file(client.CertPEM), KeyFile: file(client.KeyPEM)}
		change(&c)
		return c
	}
	key := func(data string) func(*tlsconf.Context) {
		return func(c *tlsconf.Context) { c.KeyFile, c.KeyData, c.Password = "", data, password }
	}
	for name, test := range map[string]struct {
		context tlsconf.Context
		broker  tlstest.Identity
		want    string // who the broker sees; "" for a refusal
	}{
		"files":                   {in(func(*tlsconf.Context) {}), broker, "client"},
		"memory":                  {tlsconf.Context{CAData: ca.PEM, CertData: client.CertPEM, KeyData: client.KeyPEM}, broker, "client"},
		"several CAs in memory":   {in(func(c *tlsconf.Context) { c.CAFile, c.CAData = "", other.PEM+ca.PEM }), broker, "client"},
		"CA file and memory":      {in(func(c *tlsconf.Context) { c.CAFile, c.CAData = file(other.PEM), ca.PEM }), broker, "client"},
		"CA directory":            {in(func(c *tlsconf.Context) { c.CAFile, c.CAPath = "", dirOf(t, ca.PEM) }), broker, "client"},
		"encrypted PKCS#8":        {in(key(client.Encrypted(t, password))), broker, "client"},
		"encrypted PEM":           {in(key(client.Legacy(t, password))), broker, "client"},
		"encrypted file":          {in(func(c *tlsconf.Context) { c.KeyFile, c.Password = file(client.Encrypted(t, password)), password }), broker, "client"},
		"key beside, in memory":   {tlsconf.Context{CAData: ca.PEM, CertData: client.CertPEM + client.KeyPEM}, broker, "client"},
		"key beside, in a file":   {tlsconf.Context{CAData: ca.PEM, CertFile: file(client.CertPEM + client.KeyPEM)}, broker, "client"},
		"chain in a file":         {tlsconf.Context{CAData: ca.PEM, CertFile: file(indirect.CertPEM + middle.PEM), KeyData: indirect.KeyPEM}, broker, "indirect"},
		"chain in memory":         {tlsconf.Context{CAData: ca.PEM, CertData: indirect.CertPEM + middle.PEM, KeyData: indirect.KeyPEM}, broker, "indirect"},
		"another CA":              {in(func(c *tlsconf.Context) { c.CAFile = file(other.PEM) }), broker, ""},
		"broker of another CA":    {in(func(*tlsconf.Context) {}), stranger, ""},
		"another host":            {in(func(*tlsconf.Context) {}), elsewhere, ""},
		"another host, unchecked": {in(func(c *tlsconf.Context) { c.SkipHostname = true }), elsewhere, "client"},
		"not revoked":             {in(func(c *tlsconf.Context) { c.CRLFile = file(ca.Revoke(t, hour, elsewhere.Cert)) }), broker, "client"},
		"revoked":                 {in(func(c *tlsconf.Context) { c.CRLFile = file(ca.Revoke(t, hour, broker.Cert)) }), broker, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := shake(t, test.context, ca, test.broker)
			if got != test.want {
				t.Errorf("the broker sees %q (%v), want %q", got, err, test.want)
			}
		})
	}
}

func dirOf(t *testing.T, text string) string {
	t.Helper()
	path := tlstest.File(t, "x.pem", text)
	return strings.TrimSuffix(path, "/x.pem")
}

// shake lets librdkafka connect to a server, and gives the name on the
// client's certificate, or why the server did not come to see it.
func shake(t *testing.T, c tlsconf.Context, ca *tlstest.Authority, broker tlstest.Identity) (string, error) {
	t.Helper()
	clients := x509.NewCertPool()
	clients.AddCert(ca.Cert)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	o := Options{BootstrapServers: []string{listener.Addr().String()}, SecurityProtocol: "SSL", SSL: &c}
	if problems := o.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	cfg, err := o.clientConfig()
	if err != nil {
		t.Fatal(err)
	}
	cfg["log_level"] = 0
	k, err := ckafka.NewAdminClient(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	raw, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	conn := tls.Server(raw, &tls.Config{
		Certificates: []tls.Certificate{broker.TLS()},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    clients,
	})
	if err := conn.HandshakeContext(t.Context()); err != nil {
		return "", err
	}
	if len(conn.ConnectionState().PeerCertificates) == 0 {
		return "", errors.New("no certificate")
	}
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}
