package webhook

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"sluice/internal/stream"
)

const (
	maxURL     = 2048            // bytes
	lookupTime = 5 * time.Second // for the name at creation
)

// CheckURL says whether an endpoint may have the URL: http or https, with a
// host that is not in a refused network, and without user name, password or
// fragment. A host whose name is not known at all is refused; one whose name
// servers do not answer now is not, since every connection is checked again.
// The error is a *stream.Error of code InvalidRequest.
func (s *Sender) CheckURL(ctx context.Context, text string) error {
	u, err := parseURL(text)
	if err != nil {
		return err
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		return s.checkAddress(addr)
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	addrs, err := s.resolver.LookupNetIP(ctx, "ip", u.Hostname())
	if unknown, ok := errors.AsType[*net.DNSError](err); ok && unknown.IsNotFound {
		return badURL("has a host whose name cannot be found; check its spelling").Because(err)
	}
	for _, addr := range addrs {
		if err := s.checkAddress(addr); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sender) checkAddress(addr netip.Addr) error {
	if err := s.networks.check(addr); err != nil {
		return badURL("leads to a private, loopback, link-local or otherwise special network, where nothing is delivered; the operator can permit networks with webhooks.allow_networks")
	}
	return nil
}

// maxParsed is how many URLs are kept parsed.
const maxParsed = 10_000

// urls keeps the URLs of endpoints parsed, which would take a fifteenth of the
// time of a delivery. Nobody changes what it gives.
type urls struct {
	mu     sync.RWMutex
	parsed map[string]*url.URL
}

func (c *urls) parse(text string) (*url.URL, error) {
	c.mu.RLock()
	u := c.parsed[text]
	c.mu.RUnlock()
	if u != nil {
		return u, nil
	}
	u, err := parseURL(text)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parsed == nil || len(c.parsed) >= maxParsed {
		c.parsed = map[string]*url.URL{}
	}
	c.parsed[text] = u
	return u, nil
}

// parseURL reads an endpoint's URL, and looks nothing up.
func parseURL(text string) (*url.URL, error) {
	if len(text) > maxURL {
		return nil, badURL("is longer than 2,048 bytes")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Opaque != "":
		return nil, badURL("cannot be read; it is such as https://example.com/hook")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, badURL("begins with https:// or http://")
	case u.User != nil:
		return nil, badURL("has no user name or password; give an Authorization header in endpoint.headers instead")
	case u.Fragment != "" || strings.Contains(text, "#"):
		return nil, badURL("has no fragment (#…): it is never sent")
	case !isHost(u.Hostname()):
		return nil, badURL("has a host: a name in ASCII (xn--… for others) or an address without a zone")
	case !isPort(u):
		return nil, badURL("has a port from 1 to 65535, or none")
	}
	return u, nil
}

func isHost(host string) bool {
	for i := range len(host) {
		if c := host[i]; c <= ' ' || c >= 0x7f || c == '%' {
			return false
		}
	}
	return host != ""
}

func isPort(u *url.URL) bool {
	text := u.Port()
	if text == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0
}

func badURL(what string) *stream.Error {
	return stream.Errorf(stream.InvalidRequest, "the endpoint's url %s", what)
}
