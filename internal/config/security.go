package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/stream"
)

// maxProducers bounds the producers of callers.
const maxProducers = 1000

// Security says who may use the gateway, and how connections to it are secured.
type Security struct {
	AdminListen string `yaml:"admin_listen"` // HOST:PORT of health and metrics alone, without authentication; "": they are where the rest is
	TLS         TLS    `yaml:"tls"`
	Auth        Auth   `yaml:"auth"`
	Audit       Audit  `yaml:"audit"`
}

// TLS is how the gateway serves HTTPS: files of PEM, which are read again when
// they change.
type TLS struct {
	CertFile     string `yaml:"certfile"`      // the certificate, its chain after it; "": plain HTTP
	KeyFile      string `yaml:"keyfile"`       // its key; "": beside the certificate
	ClientCAFile string `yaml:"client_cafile"` // who signs client certificates
	ClientAuth   string `yaml:"client_auth"`   // none, optional or required
}

// On says whether the gateway serves HTTPS.
func (t TLS) On() bool { return t.CertFile != "" }

// Auth says who may do what. Without tokens, an issuer and client certificates
// nobody is asked who they are.
type Auth struct {
	Tokens         []Token     `yaml:"tokens"`
	OIDC           OIDC        `yaml:"oidc"`
	Rules          []Rule      `yaml:"rules"`
	PassThrough    PassThrough `yaml:"pass_through"`
	EventTokenKeys Secret      `yaml:"event_token_keys"` // base64 of 32 bytes, or several joined by commas; "": derived, see EventKeys
}

// Token is a static token: its holder's name and its SHA-256 in hexadecimal.
type Token struct {
	Name   string `yaml:"name"`
	SHA256 string `yaml:"sha256"`
}

// OIDC is the issuer whose JSON Web Tokens are taken.
type OIDC struct {
	Issuer         string   `yaml:"issuer"`          // an https URL; "": none
	Audience       string   `yaml:"audience"`        // which tokens must be for
	Algorithms     []string `yaml:"algorithms"`      // of signatures, all others are refused
	PrincipalClaim string   `yaml:"principal_claim"` // whose value names the principal
	JWKSURL        string   `yaml:"jwks_url"`        // of the issuer's keys; "": discovered
	CAFile         string   `yaml:"cafile"`          // certificates to trust; "": the system's
}

// PassThrough says with which credentials callers publish under their own
// identity at Kafka.
type PassThrough struct {
	Basic     string   `yaml:"basic"`     // the SASL mechanism that HTTP Basic is for; "": it is not taken
	Bearer    bool     `yaml:"bearer"`    // JSON Web Tokens are for OAUTHBEARER
	Producers int      `yaml:"producers"` // of callers, at most
	Idle      Duration `yaml:"idle"`      // after which without records one is closed
}

// Mechanisms gives those by which callers log in to Kafka; none: they do not.
func (p PassThrough) Mechanisms() []string {
	var list []string
	if p.Basic != "" {
		list = append(list, strings.ToUpper(p.Basic))
	}
	if p.Bearer {
		list = append(list, "OAUTHBEARER")
	}
	return list
}

// Rule allows principals, or whoever has the claims, actions on streams.
type Rule struct {
	Principals []string `yaml:"principals"`
	Claims     Settings `yaml:"claims"`
	Actions    []string `yaml:"actions"`
	Streams    []string `yaml:"streams"`
	Schemas    []string `yaml:"schemas"`
	Groups     []string `yaml:"groups"`
}

// Audit says where it is kept who did what. Without Log and Stream it is not.
type Audit struct {
	Log      string   `yaml:"log"`      // a file to append to, or "stderr"
	Stream   string   `yaml:"stream"`   // a stream's id
	Events   []string `yaml:"events"`   // changes, denials, publishes, reads
	Required bool     `yaml:"required"` // what cannot be audited is refused
}

// On says whether anything is audited.
func (a Audit) On() bool { return a.Log != "" || a.Stream != "" }

// AuditKinds are the words of Audit.Events, and what they mean.
func AuditKinds() map[string]stream.AuditKind {
	return map[string]stream.AuditKind{
		"changes": stream.AuditChange, "denials": stream.AuditDenial, "publishes": stream.AuditPublish, "reads": stream.AuditRead,
	}
}

func (c Config) checkAudit(problems *Problems) {
	a := c.Audit
	if a.Log != "" && a.Stream != "" {
		problems.Add("audit.stream", "there is audit.log, too: set one of them")
	}
	if a.Stream != "" {
		if e, bad := errors.AsType[*stream.Error](stream.Topics{Prefix: c.TopicPrefix}.CheckID(a.Stream)); bad {
			problems.Add("audit.stream", "it cannot be a stream's id: %s", e.Message)
		} else if strings.HasSuffix(a.Stream, stream.DeadLetterSuffix) {
			problems.Add("audit.stream", "streams whose ids end in %s are for what could not be delivered", stream.DeadLetterSuffix)
		}
	}
	if a.Stream != "" && a.Stream == c.Log.Stream {
		problems.Add("audit.stream", "it is log.stream, too, which others write to: name another stream")
	}
	if a.Required && !a.On() {
		problems.Add("audit.log", "it is missing, and so is audit.stream: audit.required needs somewhere to write to")
	}
	for _, name := range a.Events {
		if AuditKinds()[name] == "" {
			problems.Add("audit.events", "%q is not one of changes, denials, publishes, reads", name)
		}
	}
	if a.On() && len(a.Events) == 0 {
		problems.Add("audit.events", "it is empty: name changes, denials, publishes or reads, or remove audit.log and audit.stream")
	}
}

// Authenticated says whether callers have to say who they are.
func (c Config) Authenticated() bool {
	return len(c.Auth.Tokens) > 0 || c.Auth.OIDC.Issuer != "" || c.TLS.ClientAuth != "none" || len(c.Auth.PassThrough.Mechanisms()) > 0
}

// EventKeys gives EventTokenKeys. The error does not quote them.
func (a Auth) EventKeys() ([][]byte, error) { return secretKeys(a.EventTokenKeys) }

// secretKeys reads the base64 of keys of 32 bytes, joined by commas.
func secretKeys(s Secret) ([][]byte, error) {
	var keys [][]byte
	for i, text := range split(s.Reveal()) {
		key, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || len(key) != secretKeySize {
			return nil, fmt.Errorf("key %d is not the base64 of %d bytes: `openssl rand -base64 %d` makes one", i+1, secretKeySize, secretKeySize)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// checkSecurity checks what can be told without loading anything.
func (c Config) checkSecurity(problems *Problems) {
	if c.AdminListen != "" && (!isHostPort(c.AdminListen) || c.AdminListen == c.Listen) {
		problems.Add("admin_listen", "it is HOST:PORT, such as 127.0.0.1:9090, and not where the rest is served")
	}
	if !c.TLS.On() && c.TLS.KeyFile != "" {
		problems.Add("tls.certfile", "a key alone is not enough: set certfile to its certificate")
	}
	switch c.TLS.ClientAuth {
	case "none":
		if c.TLS.ClientCAFile != "" {
			problems.Add("tls.client_auth", "it is none, so client_cafile is for nothing: set it to optional or required")
		}
	case "optional", "required":
		if !c.TLS.On() {
			problems.Add("tls.certfile", "it is missing: client certificates (client_auth) are shown over TLS")
		} else if c.TLS.ClientCAFile == "" {
			problems.Add("tls.client_cafile", "it is missing: it says who signs the certificates of clients (client_auth)")
		}
	default:
		problems.Add("tls.client_auth", "it is none, optional or required")
	}
	if c.Authenticated() && c.AllowAnonymous {
		problems.Add("allow_anonymous", "it lets everybody in, but authentication is configured: remove one of them")
	}
	if !c.Authenticated() && len(c.Auth.Rules) > 0 {
		problems.Add("auth", "nobody is asked who they are, so the rules are for nothing: configure auth.tokens, auth.oidc, auth.pass_through or client certificates")
	}
	if _, err := c.Auth.EventKeys(); err != nil {
		problems.Add("auth.event_token_keys", "%v", err)
	}
	c.checkOIDC(problems)
	c.checkAudit(problems)
	c.checkPassThrough(problems)
}

func (c Config) checkPassThrough(problems *Problems) {
	p := c.Auth.PassThrough
	switch strings.ToUpper(p.Basic) {
	case "", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
	default:
		problems.Add("auth.pass_through.basic", "it is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, the mechanism by which Kafka takes users and passwords")
	}
	if p.Bearer && c.Auth.OIDC.PrincipalClaim == "" {
		problems.Add("auth.oidc.principal_claim", "it is missing: the claim that names the user, such as sub")
	}
	if p.Producers < 1 || p.Producers > maxProducers {
		problems.Add("auth.pass_through.producers", "it is from 1 to %d: each costs threads and connections", maxProducers)
	}
	if time.Duration(p.Idle) < time.Second {
		problems.Add("auth.pass_through.idle", "it is at least 1s")
	}
	if c.Embedded && len(p.Mechanisms()) > 0 {
		problems.Add("auth.pass_through", "the embedded broker knows no users: name a Kafka with bootstrap_servers, or remove it")
	}
}

func (c Config) checkOIDC(problems *Problems) {
	o := c.Auth.OIDC
	if o.Issuer == "" {
		if o.Audience != "" || o.JWKSURL != "" || o.CAFile != "" {
			problems.Add("auth.oidc.issuer", "it is missing: the URL that tokens have as iss")
		}
		return
	}
	if !secureURL(o.Issuer) {
		problems.Add("auth.oidc.issuer", "it is an https URL without a query, exactly as tokens have it as iss; http is taken for this machine alone")
	}
	if o.JWKSURL != "" && !secureURL(o.JWKSURL) {
		problems.Add("auth.oidc.jwks_url", "it is an https URL; http is taken for this machine alone")
	}
	if o.Audience == "" {
		problems.Add("auth.oidc.audience", "it is missing: a token that the issuer made for another service must not be good here")
	}
	if o.PrincipalClaim == "" {
		problems.Add("auth.oidc.principal_claim", "it is missing: the claim that names the principal, such as sub")
	}
}

// secureURL says whether nobody on the way can change what is fetched.
func secureURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || strings.Contains(text, "?") {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
}

// isHostPort says whether an address can be listened on.
func isHostPort(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	_, portErr := strconv.ParseUint(port, 10, 16)
	return err == nil && portErr == nil
}
