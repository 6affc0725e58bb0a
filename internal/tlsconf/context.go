// Package tlsconf holds what a client needs to speak TLS with Kafka: the
// certificates to trust, its own certificate and key, from files or from
// memory. It checks that they load and belong together, so that a wrong path
// or password is named before a connection is tried, and makes a *tls.Config
// of them.
//
// It opens no connection, and knows neither Kafka's client nor the file that
// the configuration comes from.
package tlsconf

import "log/slog"

// Context is an `ssl_context`: each member is named after its key. Of a file
// and its memory form only one may be set; everything is PEM.
type Context struct {
	CAFile       string // file of certificates to trust; none of the three: the system's
	CAPath       string // directory of such files, one certificate each
	CAData       string // the same in memory
	CertFile     string // the client's certificate, its chain after it
	KeyFile      string // the private key, encrypted or not
	CertData     string
	KeyData      string
	Password     string // of an encrypted key
	SkipHostname bool   // check_hostname: false; the broker's name is not compared with its certificate
	CRLFile      string // certificates that are trusted no more
	Ciphers      string // OpenSSL's names, joined by colons; "" for the library's choice
}

// String hides the keys, as every print of a Context should.
func (Context) String() string { return "ssl_context(<redacted>)" }

// GoString hides the keys from %#v.
func (c Context) GoString() string { return c.String() }

// LogValue hides the keys from logs.
func (c Context) LogValue() slog.Value { return slog.StringValue(c.String()) }
