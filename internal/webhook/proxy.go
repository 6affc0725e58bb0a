package webhook

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// proxy is the HTTP proxy through which all deliveries go. Where they go is
// decided here all the same: names are resolved and their addresses checked
// before the proxy is told anything.
//
//   - https: the proxy is asked to CONNECT to an address that was checked, so
//     that no other answer of a name server can come between. The name is used
//     inside of the tunnel alone, for TLS and Host.
//   - http: the proxy is told the URL with the name, since by HTTP's rules it
//     makes the Host of what it is told. All addresses of the name are checked
//     before each request, and the proxy resolves it anew: against names that
//     change their address in between, its own rules must stand.
type proxy struct {
	url    *url.URL
	dialer *net.Dialer // checks nothing: the operator has named the proxy
	tls    *tls.Config
}

// proxyError is why a proxy did not let a request through.
type proxyError struct {
	status int // of its answer; 0: there was none
	cause  error
}

func (e *proxyError) Error() string {
	if e.status != 0 {
		return fmt.Sprintf("the proxy refused to connect to the endpoint: %d %s", e.status, http.StatusText(e.status))
	}
	return "the proxy cannot be reached, or does not answer"
}

func (e *proxyError) Unwrap() error { return e.cause }

// newProxy gives nil for no proxy.
func newProxy(o Options, resolver *net.Resolver) *proxy {
	if o.Proxy == nil {
		return nil
	}
	return &proxy{
		url: o.Proxy, dialer: &net.Dialer{Timeout: connectTime, Resolver: resolver},
		tls: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs, ServerName: o.Proxy.Hostname()},
	}
}

// connect makes a connection to the proxy itself.
func (p *proxy) connect(ctx context.Context) (net.Conn, error) {
	port := p.url.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[p.url.Scheme]
	}
	address := net.JoinHostPort(p.url.Hostname(), port)
	if p.url.Scheme != "https" {
		conn, err := p.dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, &proxyError{cause: err}
		}
		return conn, nil
	}
	conn, err := (&tls.Dialer{NetDialer: p.dialer, Config: p.tls}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, &proxyError{cause: err}
	}
	return conn, nil
}

// tunnel makes a connection through the proxy to the first of the addresses
// that it can connect to.
func (p *proxy) tunnel(ctx context.Context, addrs []netip.Addr, port string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	var first error
	for _, addr := range addrs {
		conn, err := p.tunnelTo(ctx, net.JoinHostPort(addr.String(), port))
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

func (p *proxy) tunnelTo(ctx context.Context, address string) (net.Conn, error) {
	conn, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // a closed connection has none
	err = p.ask(conn, address)
	if !stop() && err == nil {
		err = &proxyError{cause: ctx.Err()}
	}
	if err != nil {
		_ = conn.Close() // the error that counts is known
		return nil, err
	}
	return conn, nil
}

// ask has the proxy connect to an address.
func (p *proxy) ask(conn net.Conn, address string) error {
	ask := "CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\n"
	if u := p.url.User; u != nil {
		password, _ := u.Password()
		ask += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(conn, ask+"\r\n"); err != nil {
		return &proxyError{cause: err}
	}
	r := bufio.NewReader(io.LimitReader(conn, maxHeaders))
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return &proxyError{cause: err}
	}
	_ = resp.Body.Close() // of an answer to CONNECT nothing is read
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return &proxyError{status: resp.StatusCode}
	}
	if r.Buffered() > 0 { // in TLS the client begins
		return &proxyError{cause: errors.New("it sends what nobody asked for")}
	}
	return nil
}

// permitted gives the addresses of a host to which deliveries may go, as the
// dialer would find them out without a proxy.
func (s *Sender) permitted(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := s.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	var good []netip.Addr
	for _, addr := range addrs {
		if s.networks.check(addr) == nil {
			good = append(good, addr.Unmap())
		}
	}
	if len(good) == 0 {
		return nil, errRefusedNetwork
	}
	return good, nil
}

// allPermitted is an error unless all addresses of a host are permitted: which
// one is taken, the proxy decides.
func (s *Sender) allPermitted(ctx context.Context, host string) error {
	addrs, err := s.lookup(ctx, host)
	if err != nil {
		return err
	}
	for _, addr := range addrs {
		if err := s.networks.check(addr); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sender) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	return s.resolver.LookupNetIP(ctx, "ip", host)
}
