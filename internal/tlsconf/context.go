// Package tlsconf holds what TLS needs: of a client of Kafka, and of the
// gateway's own server, which notices when its files change. That is the
// certificates to trust, the own certificate and key, from files or from
// memory. It checks that they load and belong together, so that a wrong path
// or password is named before a connection is tried, and makes a *tls.Config
// of them.
//
// It opens no connection, and knows neither Kafka's client nor the file that
// the configuration comes from.
package tlsconf

import (
	"log/slog"
	"time"
)

// Context is an ssl_context: each member is one of its keys. Everything is
// PEM. Certificates to trust may come from several places at once; of a file
// and its memory form for the client's own certificate or key only one may be
// set.
type Context struct {
	CAFile       string // file of certificates to trust; with no CA at all, the system's are
	CAPath       string // directory whose files hold certificates to trust
	CAData       string // certificates to trust, in memory
	CertFile     string // the client's certificate, intermediate ones after it
	KeyFile      string // its private key; "" looks for it beside the certificate
	CertData     string // the client's certificate, in memory
	KeyData      string // its private key, in memory
	Password     string // of the private key, where that is encrypted
	PasswordFile string // file of that password, instead; line ends at its end do not count
	SkipHostname bool   // check_hostname: false; the broker's name is not compared with its certificate
	CRLFile      string // revocation lists: who is on them is refused
	Ciphers      string // names as OpenSSL writes them, joined by colons; "" for the library's own choice

	held *held // after Hold; nil: files are read when they are needed
}

// Problem is one thing wrong with a Context, and the key it is about: "cafile",
// "password" and so on.
type Problem struct {
	Key     string
	Message string // one sentence, never a part of a key or password
}

// Check loads everything the context names, and gives all that is wrong with
// it as of now: what cannot be read or is not PEM, a key that the password does
// not open or that belongs to another certificate, certificates that expired.
func (c Context) Check(now time.Time) []Problem {
	m, problems := c.load()
	return append(problems, m.outdated(now)...)
}

// String hides the keys, as every print of a Context should.
func (Context) String() string { return "ssl_context(<redacted>)" }

// GoString hides the keys from %#v.
func (c Context) GoString() string { return c.String() }

// LogValue hides the keys from logs.
func (c Context) LogValue() slog.Value { return slog.StringValue(c.String()) }
