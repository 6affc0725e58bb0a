package subscriptions

import (
	"crypto/rand"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"

	"sluice/internal/stream"
	"sluice/internal/stream/endpoint"
)

// The bounds of an endpoint.
const (
	maxURL         = 2048
	maxHeaders     = 20
	maxHeaderName  = 100
	maxHeaderValue = 4096
)

// Standard Webhooks' secrets.
const (
	secretMark = "whsec_"
	minSecret  = 24 // bytes
	maxSecret  = 64
	newSecret  = 32
)

// EncodeSecret writes a secret as clients see it.
func EncodeSecret(key []byte) string { return secretMark + base64.StdEncoding.EncodeToString(key) }

// parseSecret reads a secret.
func parseSecret(s string) (key []byte, ok bool) {
	text, ok := strings.CutPrefix(s, secretMark)
	if !ok || strings.ContainsAny(text, "\r\n") { // which base64 passes over
		return nil, false
	}
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	return key, err == nil && len(key) >= minSecret && len(key) <= maxSecret
}

func generateSecret() []byte {
	key := make([]byte, newSecret)
	rand.Read(key)
	return key
}

// newID makes up an id for a subscription.
func newID() string { return strings.ToLower(rand.Text()) }

// readEndpoint reads where records go. Values are never told in a problem:
// they may be secrets.
func (r *request) readEndpoint(o *object) {
	o.text("url", &r.Endpoint.URL)
	if what := checkURL(r.Endpoint.URL); what != "" && !o.asIs("url") {
		o.bad("url", "%s", what)
	}
	r.readHeaders(o)
	if o.given("secret") {
		var text string
		o.text("secret", &text)
		key, ok := parseSecret(text)
		if !ok {
			o.badSecret()
		}
		r.secret = key
	}
	o.value("previous_secret_until") // which GET answers
	o.rest()
}

func (o *object) badSecret() {
	if !o.asIs("secret") {
		o.bad("secret", "is %q and the base64, with its padding, of %d to %d random bytes; leave it out to be given one", secretMark, minSecret, maxSecret)
	}
}

// checkURL says what is wrong with a URL by itself, or "".
func checkURL(s string) string {
	if s == "" {
		return "is missing: the URL that records are posted to"
	}
	u, err := url.Parse(s)
	switch {
	case len(s) > maxURL:
		return "is longer than 2048 bytes"
	case err != nil || u.Opaque != "" || u.Hostname() == "" || strings.ContainsAny(s, " \t\r\n"):
		return "is not a URL such as https://app.example/hooks"
	case u.Scheme != "https" && u.Scheme != "http":
		return "begins with https:// or http://"
	case u.User != nil:
		return "holds a user or a password, which would be shown with it: send them in endpoint.headers, as Authorization"
	case u.Fragment != "" || strings.HasSuffix(s, "#"):
		return "has a fragment (#…), which is never sent: leave it out"
	}
	return ""
}

// readHeaders reads the headers that are sent with each delivery.
func (r *request) readHeaders(o *object) {
	if !o.given("headers") {
		return
	}
	if o.members["headers"].Kind() != '{' {
		o.bad("headers", `is an object of names and values: {"Authorization":"Bearer …"}`)
		return
	}
	headers := o.object("headers")
	r.headers = map[string]*string{}
	seen := map[string]bool{}
	for name, v := range headers.members {
		headers.asked[name] = true
		if what := checkHeaderName(name); what != "" {
			headers.bad(name, "%s", what)
		}
		if lower := strings.ToLower(name); seen[lower] {
			headers.bad(name, "is given twice: names do not differ by case")
		} else {
			seen[lower] = true
		}
		if v.Kind() == 'n' {
			r.headers[name] = nil
			continue
		}
		value := ""
		headers.text(name, &value)
		if !headerValue(value) && v.Kind() == '"' {
			headers.bad(name, "has a value that is longer than %d bytes, or not visible ASCII with single spaces within", maxHeaderValue)
		}
		r.headers[name] = &value
	}
	if len(r.headers) > maxHeaders {
		o.bad("headers", "has more than %d headers", maxHeaders)
	}
}

// checkHeaderName says what is wrong with a header's name, or "".
func checkHeaderName(name string) string {
	switch {
	case len(name) > maxHeaderName || !endpoint.IsHeaderName(name):
		return "is no name of a header"
	case endpoint.IsReserved(name):
		return "is a header that the gateway sets itself, or must not send"
	}
	return ""
}

func headerValue(s string) bool {
	if len(s) > maxHeaderValue || s != strings.TrimSpace(s) {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// headersOn gives the headers of a request on top of those there are: all of
// them where they are left out, and the value there is where one is null.
func (r *request) headersOn(old []stream.Header, found *problems) []stream.Header {
	if r.headers == nil {
		return old
	}
	headers := []stream.Header{}
	for name, value := range r.headers {
		h := stream.Header{Name: name}
		if value != nil {
			h.Value = []byte(*value)
		} else if i := slices.IndexFunc(old, func(o stream.Header) bool { return strings.EqualFold(o.Name, name) }); i >= 0 {
			h.Value = old[i].Value
		} else {
			(&object{at: "/endpoint/headers", found: found}).bad(name, "is null, which keeps the value there is, and there is none")
		}
		headers = append(headers, h)
	}
	slices.SortFunc(headers, func(a, b stream.Header) int { return strings.Compare(a.Name, b.Name) })
	return headers
}
