package kafka

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/tlsconf"
)

// The security protocols, with Kafka's spelling.
const (
	plaintext     = "PLAINTEXT"
	overTLS       = "SSL"
	saslPlaintext = "SASL_PLAINTEXT"
	saslOverTLS   = "SASL_SSL"
)

// The SASL mechanisms, with Kafka's spelling.
const (
	saslPlain   = "PLAIN"
	scramSHA256 = "SCRAM-SHA-256"
	scramSHA512 = "SCRAM-SHA-512"
	oauthBearer = "OAUTHBEARER"
	gssapi      = "GSSAPI"
)

func (o Options) protocol() string {
	if o.SecurityProtocol == "" {
		return plaintext
	}
	return strings.ToUpper(o.SecurityProtocol)
}

func (o Options) usesTLS() bool { return o.protocol() == overTLS || o.protocol() == saslOverTLS }

func (o Options) usesSASL() bool {
	return o.protocol() == saslPlaintext || o.protocol() == saslOverTLS
}

func (s SASL) mechanism() string {
	if s.Mechanism == "" {
		return saslPlain
	}
	return strings.ToUpper(s.Mechanism)
}

// set puts the properties that have a value into cfg.
func set(cfg ckafka.ConfigMap, props map[string]string) {
	for name, value := range props {
		if value != "" {
			cfg[name] = value
		}
	}
}

// secure puts the properties of the security protocol into cfg: encryption and
// identity, or neither.
func (o Options) secure(cfg ckafka.ConfigMap) error {
	cfg["security.protocol"] = strings.ToLower(o.protocol())
	if o.usesSASL() {
		o.SASL.configure(cfg)
	}
	if o.usesTLS() && o.SSL != nil {
		return configureTLS(cfg, *o.SSL)
	}
	return nil
}

// configureTLS hands over texts, not paths: librdkafka reads files whenever a
// client is made, and what is in them by then may be of no use. Only the
// revocation list it takes from a file alone; see Cluster.config.
func configureTLS(cfg ckafka.ConfigMap, c tlsconf.Context) error {
	texts, err := c.Texts()
	if err != nil {
		return err
	}
	identification := "https"
	if c.SkipHostname {
		identification = "none"
	}
	set(cfg, map[string]string{
		"ssl.ca.pem":                            texts.CA,
		"ssl.certificate.pem":                   texts.Cert,
		"ssl.key.pem":                           texts.Key,
		"ssl.key.password":                      texts.Password,
		"ssl.crl.location":                      c.CRLFile,
		"ssl.cipher.suites":                     c.Ciphers,
		"ssl.endpoint.identification.algorithm": identification,
	})
	return nil
}

func (s SASL) configure(cfg ckafka.ConfigMap) {
	cfg["sasl.mechanisms"] = s.mechanism()
	switch s.mechanism() {
	case saslPlain, scramSHA256, scramSHA512:
		set(cfg, map[string]string{"sasl.username": s.Username, "sasl.password": s.Password})
	case gssapi:
		set(cfg, map[string]string{
			"sasl.kerberos.service.name": s.KerberosService,
			"sasl.kerberos.keytab":       s.KerberosKeytab,
			"sasl.kerberos.principal":    s.KerberosPrincipal,
		})
	case oauthBearer:
		s.OAuth.configure(cfg)
	}
}

// configure leaves a token file to the refresh event, which every client has
// to answer.
func (a OAuth) configure(cfg ckafka.ConfigMap) {
	if a.TokenEndpointURL == "" {
		return
	}
	var extensions []string
	for _, name := range slices.Sorted(maps.Keys(a.Extensions)) {
		extensions = append(extensions, name+"="+a.Extensions[name])
	}
	set(cfg, map[string]string{
		"sasl.oauthbearer.method":             "oidc",
		"sasl.oauthbearer.token.endpoint.url": a.TokenEndpointURL,
		"sasl.oauthbearer.client.id":          a.ClientID,
		"sasl.oauthbearer.client.secret":      a.ClientSecret,
		"sasl.oauthbearer.scope":              a.Scope,
		"sasl.oauthbearer.extensions":         strings.Join(extensions, ","),
	})
}

// checkSecurity says what the protocol needs and lacks, and what was set that
// it would leave unused: an identity nobody sees is a mistake to be told.
func (o Options) checkSecurity(now time.Time) []Problem {
	switch o.protocol() {
	case plaintext, overTLS, saslPlaintext, saslOverTLS:
	default:
		return []Problem{{"security_protocol", "it is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"}}
	}
	var problems []Problem
	switch {
	case o.usesTLS() && o.SSL == nil:
		problems = append(problems, Problem{"ssl_context", "`ssl_context` is required"})
	case o.usesTLS():
		for _, p := range o.SSL.Check(now) {
			problems = append(problems, Problem{"ssl_context." + p.Key, p.Message})
		}
	case o.SSL != nil:
		problems = append(problems, Problem{"ssl_context", "it is set, but " + o.protocol() + " uses no TLS: set `security_protocol` to SSL or SASL_SSL"})
	}
	if o.usesSASL() {
		return append(problems, o.checkSASL(now)...)
	}
	if o.SASL.set() {
		problems = append(problems, Problem{"security_protocol", "a `sasl_` key is set, but " + o.protocol() + " logs nobody in: set it to SASL_SSL or SASL_PLAINTEXT"})
	}
	return problems
}

// set says whether any member is.
func (s SASL) set() bool {
	return s.Mechanism+s.Username+s.UsernameFile+s.Password+s.PasswordFile+s.KerberosService+s.KerberosDomain+s.KerberosKeytab+s.KerberosPrincipal != "" || s.OAuth.set()
}

func (a OAuth) set() bool {
	return a.TokenEndpointURL+a.ClientID+a.ClientSecret+a.ClientSecretFile+a.Scope+a.TokenFile != "" || len(a.Extensions) > 0
}

func (o Options) checkSASL(now time.Time) []Problem {
	s := o.SASL
	switch s.mechanism() {
	case saslPlain:
		return s.checkPassword("SASL_PLAIN")
	case scramSHA256, scramSHA512:
		return s.checkPassword(s.mechanism())
	case gssapi:
		return s.checkKerberos()
	case oauthBearer:
		if o.Settings["enable.sasl.oauthbearer.unsecure.jwt"] == "true" {
			return nil // librdkafka makes its own tokens, for trials
		}
		return s.OAuth.check(now)
	}
	return []Problem{{"sasl_mechanism", "it is PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or GSSAPI"}}
}

func (s SASL) checkPassword(mechanism string) []Problem {
	var problems []Problem
	for _, m := range []struct{ key, value, file string }{
		{"sasl_plain_username", s.Username, s.UsernameFile},
		{"sasl_plain_password", s.Password, s.PasswordFile},
	} {
		if m.value == "" && m.file == "" {
			problems = append(problems, Problem{m.key, "`" + m.key + "` is required when using " + mechanism})
		}
	}
	return problems
}

func (s SASL) checkKerberos() []Problem {
	var problems []Problem
	if try("builtin.features", "sasl_gssapi") != "" {
		problems = append(problems, Problem{"sasl_mechanism", "this build has no GSSAPI: build the gateway with `-tags dynamic` and the librdkafka that scripts/build-gssapi makes, or use another mechanism"})
	}
	if s.KerberosDomain != "" {
		problems = append(problems, Problem{"sasl_kerberos_domain_name", "librdkafka takes the broker's host name: remove it"})
	}
	return problems
}

const oauthKey = "sasl_oauth_token_provider"

func (a OAuth) check(now time.Time) []Problem {
	switch {
	case !a.set():
		return []Problem{{oauthKey, "`" + oauthKey + "` is required when using OAUTHBEARER: its `token_endpoint_url` or its `token_file`"}}
	case a.TokenFile != "" && a.TokenEndpointURL != "":
		return []Problem{{oauthKey, "`token_file` and `token_endpoint_url` are both set: keep one of them"}}
	case a.TokenFile != "":
		return a.checkFile(now)
	}
	var problems []Problem
	u, err := url.Parse(a.TokenEndpointURL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		problems = append(problems, Problem{oauthKey + ".token_endpoint_url", "it is an https URL, without user and password"})
	}
	if a.ClientID == "" {
		problems = append(problems, Problem{oauthKey + ".client_id", "it is required with `token_endpoint_url`"})
	}
	if a.ClientSecret == "" && a.ClientSecretFile == "" {
		problems = append(problems, Problem{oauthKey + ".client_secret", "it, or `client_secret_file`, is required with `token_endpoint_url`"})
	}
	for name, value := range a.Extensions {
		if name == "" || name == "auth" || strings.ContainsAny(name+value, ",=\x01") {
			problems = append(problems, Problem{oauthKey + ".extensions", "a name or value in it has a character that librdkafka cannot send (`,` `=`), or the name is `auth`"})
			break
		}
	}
	return problems
}

func (a OAuth) checkFile(now time.Time) []Problem {
	const key = oauthKey + ".token_file"
	if a.ClientID+a.ClientSecret+a.ClientSecretFile+a.Scope != "" || len(a.Extensions) > 0 {
		return []Problem{{key, "a token from a file needs no client or scope: remove them, or set `token_endpoint_url` instead"}}
	}
	if _, err := readToken(a.TokenFile, now); err != nil {
		return []Problem{{key, err.Error()}}
	}
	return nil
}

// readToken reads a JWT from a file, with its principal and end. The token is
// not verified: that is the broker's part.
func readToken(path string, now time.Time) (ckafka.OAuthBearerToken, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return ckafka.OAuthBearerToken{}, err
	}
	token := ckafka.OAuthBearerToken{TokenValue: strings.TrimSpace(string(b))}
	var claims struct {
		Subject string   `json:"sub"`
		Expires *float64 `json:"exp"`
	}
	parts := strings.Split(token.TokenValue, ".")
	if len(parts) != 3 {
		return ckafka.OAuthBearerToken{}, fmt.Errorf("%s holds no JWT", path)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims.Expires == nil {
		return ckafka.OAuthBearerToken{}, fmt.Errorf("%s holds no JWT with an `exp` claim", path)
	}
	token.Principal, token.Expiration = claims.Subject, time.Unix(int64(*claims.Expires), 0)
	if !token.Expiration.After(now) {
		return ckafka.OAuthBearerToken{}, fmt.Errorf("the token in %s expired on %s", path, token.Expiration.UTC().Format(time.RFC3339))
	}
	return token, nil
}

// checkTogether lets librdkafka make a client of all properties, which shows
// what each alone does not: ciphers OpenSSL does not know, keys it cannot use,
// values that exclude each other. Without brokers it connects to nothing.
func (o Options) checkTogether() []Problem {
	cfg, err := o.clientConfig()
	if err != nil {
		return []Problem{{"kafka_settings", err.Error()}}
	}
	o, _ = o.effective()
	if o.SASL.mechanism() == oauthBearer { // a token would be fetched at once, over the network
		maps.DeleteFunc(cfg, func(name string, _ ckafka.ConfigValue) bool { return strings.Contains(name, "sasl.") })
		cfg["security.protocol"] = strings.TrimPrefix(strings.ToLower(o.protocol()), "sasl_")
	}
	delete(cfg, "bootstrap.servers")
	delete(cfg, "debug")
	cfg["log_level"] = 0
	cfg["enable.idempotence"] = true // as the gateway's producers are
	client, err := ckafka.NewAdminClient(&cfg)
	if err != nil {
		return []Problem{o.blame(err.Error())}
	}
	client.Close()
	return nil
}

// blame finds the key of the property that librdkafka's message begins with.
func (o Options) blame(message string) Problem {
	name, _, _ := strings.Cut(message, " ")
	name = canonical(strings.Trim(name, "`\":"))
	p := Problem{"kafka_settings", "librdkafka refuses it: " + strings.TrimSpace(message)}
	for _, set := range o.properties() {
		if set.name == name {
			p.Key = set.key
		}
	}
	if key, _ := (&Options{SSL: &tlsconf.Context{}}).place(name, ""); key != "" {
		p.Key = key
	}
	return p
}
