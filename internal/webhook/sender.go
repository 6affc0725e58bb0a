package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/stream"
)

// Bounds of one attempt, beside the subscription's timeout for the whole.
const (
	connectTime    = 5 * time.Second  // for TCP, over all addresses of a name
	handshakeTime  = 5 * time.Second  // for TLS
	restTime       = time.Second      // for an answer's body, once its status has told all
	defaultTimeout = 15 * time.Second // for the whole, where the subscription says nothing
	maxHeaders     = 64 << 10         // bytes of an answer's headers
	maxRest        = 64 << 10         // bytes of an answer's body that are read so that the connection can be used again
	maxPublished   = 1 << 20          // bytes of an answer's body with records
	maxAgain       = 2                // requests that are sent again over another connection
)

// Bounds of the connections that are kept for the next delivery.
const (
	idleConnections = 2048
	idlePerEndpoint = 1024 // a receiver of a thousand subscriptions is one endpoint here
	idleTime        = 60 * time.Second
	tlsSessions     = 256
)

// errTimeout tells the end of the subscription's timeout from others.
var errTimeout = errors.New("the subscription's timeout is over")

// Tracer traces attempts.
type Tracer interface {
	// Deliver begins the span of an attempt; the function ends it.
	Deliver(ctx context.Context, d *stream.Delivery) (context.Context, func(stream.Attempt))
	// Inject makes the headers name the span of the context.
	Inject(ctx context.Context, h http.Header)
}

// Options are what a Sender needs. Logger and Registerer are required.
type Options struct {
	Version       string         // of the gateway, for User-Agent; "" leaves it out
	AllowNetworks []netip.Prefix // where deliveries go all the same, of networks that are refused
	Resolver      *net.Resolver  // nil: the system's
	Proxy         *url.URL       // of an HTTP proxy, with credentials if it needs some; nil: none, whatever the environment says
	RootCAs       *x509.CertPool // who may sign the endpoints' certificates; nil: the system's

	// DecodeLine reads a line of an answer that publishes; the record may share
	// memory with the line. Its errors are shown to people. Without it no
	// answer publishes.
	DecodeLine func(line []byte) (stream.Outgoing, error)

	// Tracer traces attempts; nil: a record's own place in a trace is passed on.
	Tracer Tracer

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Sender makes attempts of deliveries. It may be used by several goroutines.
type Sender struct {
	networks   networks
	resolver   *net.Resolver
	dialer     *net.Dialer
	proxy      *proxy          // nil: none
	transport  *http.Transport // of https and, without a proxy, of http
	proxied    *http.Transport // of http through the proxy; nil: there is none
	urls       urls
	userAgent  []string
	decodeLine func([]byte) (stream.Outgoing, error)
	tracer     Tracer // nil: nothing is traced
	logger     *slog.Logger
	metrics    *metrics
}

// New makes a sender; Close lets go of its connections.
func New(o Options) *Sender {
	s := &Sender{
		networks:   newNetworks(o.AllowNetworks),
		resolver:   o.Resolver,
		userAgent:  []string{"Sluice"},
		decodeLine: o.DecodeLine,
		tracer:     o.Tracer,
		logger:     o.Logger,
		metrics:    newMetrics(o.Registerer),
	}
	if s.resolver == nil {
		s.resolver = net.DefaultResolver
	}
	if o.Version != "" {
		s.userAgent = []string{"Sluice/" + o.Version}
	}
	s.dialer = &net.Dialer{Timeout: connectTime, Resolver: s.resolver, Control: s.networks.control}
	s.transport = newTransport(s.dial, o.RootCAs)
	if s.proxy = newProxy(o, s.resolver); s.proxy != nil {
		s.transport.DialContext = s.dialTunnel
		s.proxied = newTransport(s.dialProxy, o.RootCAs)
		s.proxied.Proxy = http.ProxyURL(o.Proxy)
	}
	return s
}

// newTransport makes what keeps connections. It knows no proxies of the
// environment: they would be asked to connect where this process must not.
func newTransport(dial func(context.Context, string, string) (net.Conn, error), roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(tlsSessions)},
		TLSHandshakeTimeout:    handshakeTime,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second}, // dead connections are noticed
		DisableCompression:     true,                                                                               // an answer of a few bytes must not become gigabytes
		MaxIdleConns:           idleConnections,
		MaxIdleConnsPerHost:    idlePerEndpoint,
		IdleConnTimeout:        idleTime,
		MaxResponseHeaderBytes: maxHeaders,
	}
}

// dial makes a connection, and counts.
func (s *Sender) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := s.dialer.DialContext(ctx, network, address)
	s.dialed(err)
	return conn, err
}

// dialTunnel is dial through the proxy.
func (s *Sender) dialTunnel(ctx context.Context, _, address string) (conn net.Conn, err error) {
	defer func() { s.dialed(err) }()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := s.permitted(ctx, host)
	if err != nil {
		return nil, err
	}
	return s.proxy.tunnel(ctx, addrs, port)
}

// dialProxy makes a connection to the proxy, for requests that name their URL.
func (s *Sender) dialProxy(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := s.proxy.dialer.DialContext(ctx, network, address)
	if err != nil {
		err = &proxyError{cause: err}
	}
	s.dialed(err)
	return conn, err
}

// dialed counts.
func (s *Sender) dialed(err error) {
	switch {
	case err == nil:
		s.metrics.connections.Inc()
	case errors.Is(err, errRefusedNetwork):
		s.metrics.refused.Inc()
	}
}

// roundTrip sends a request, through the proxy if there is one.
func (s *Sender) roundTrip(req *http.Request) (*http.Response, error) {
	if s.proxied == nil || req.URL.Scheme != "http" {
		return s.transport.RoundTrip(req)
	}
	if err := s.allPermitted(req.Context(), req.URL.Hostname()); err != nil {
		if errors.Is(err, errRefusedNetwork) {
			s.metrics.refused.Inc()
		}
		return nil, err
	}
	resp, err := s.proxied.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusProxyAuthRequired { // an endpoint has no reason to say so
		_ = resp.Body.Close()
		return nil, &proxyError{status: resp.StatusCode}
	}
	return resp, err
}

// Close closes the connections that are not in use. Attempts under way end by
// themselves or with their contexts.
func (s *Sender) Close() {
	s.transport.CloseIdleConnections()
	if s.proxied != nil {
		s.proxied.CloseIdleConnections()
	}
}

// Send makes one attempt, which ends within the subscription's timeout. When
// ctx ends first the outcome is DeliveryCancelled, and whether the endpoint got
// the delivery is not known.
func (s *Sender) Send(ctx context.Context, d *stream.Delivery) stream.Attempt {
	a := stream.Attempt{At: time.Now()}
	if s.tracer == nil {
		s.attempt(ctx, d, &a)
	} else {
		spanned, end := s.tracer.Deliver(ctx, d)
		s.attempt(spanned, d, &a)
		end(a)
	}
	a.Took = time.Since(a.At)
	if s.logger.Enabled(ctx, slog.LevelDebug) { // attributes are made for each record that is delivered
		s.logger.LogAttrs(ctx, slog.LevelDebug, "delivery attempted", slog.String("subscription", d.Subscription.ID), slog.String("delivery_id", d.ID),
			slog.Int("attempt", d.Attempt), slog.String("outcome", a.Outcome.String()), slog.Int("status", a.Status), slog.Duration("took", a.Took), slog.String("detail", a.Detail))
	}
	return a
}

func (s *Sender) attempt(ctx context.Context, d *stream.Delivery, a *stream.Attempt) {
	whole, cancel := context.WithTimeoutCause(ctx, timeoutOf(d), errTimeout)
	defer cancel()
	req, err := s.request(whole, d, a.At)
	if err != nil {
		a.Outcome, a.Detail = stream.DeliveryFailed, err.Error()
		return
	}
	resp, err := s.roundTrip(req)
	if err != nil {
		a.Outcome, a.Detail = describeFailure(ctx, whole, d, err)
		return
	}
	defer resp.Body.Close()
	a.Status = resp.StatusCode
	a.Outcome = outcomeOf(resp.StatusCode)
	if a.Outcome == stream.DeliveryRefused && slices.Contains(d.Subscription.Retry.Statuses, a.Status) {
		a.Outcome = stream.DeliveryFailed
	}
	if a.Outcome == stream.DeliveryDone && d.Subscription.Publishes != "" && s.decodeLine != nil {
		s.take(ctx, whole, d, resp, a)
		return
	}
	// The status has told all. A body that comes slowly or never ends is not
	// waited for: its connection is given up.
	rest := time.AfterFunc(restTime, cancel)
	defer rest.Stop()
	body := readRest(resp.Body)
	if a.Outcome != stream.DeliveryDone {
		a.RetryAfter = retryAfter(resp.Header, a.At)
		a.Detail = describeAnswer(resp, body, d.Subscription.Endpoint)
	}
}

// timeoutOf gives the time for the whole of an attempt.
func timeoutOf(d *stream.Delivery) time.Duration {
	if d.Subscription.Timeout <= 0 {
		return defaultTimeout
	}
	return d.Subscription.Timeout
}

// request makes the signed request of an attempt.
func (s *Sender) request(ctx context.Context, d *stream.Delivery, at time.Time) (*http.Request, error) {
	endpoint := d.Subscription.Endpoint
	u, err := s.urls.parse(endpoint.URL)
	if err != nil {
		return nil, errors.New("the endpoint's url cannot be used; set another")
	}
	keys := endpoint.Keys(at)
	if len(keys) == 0 {
		return nil, errors.New("the subscription has no secret to sign with; rotate it")
	}
	h := make(http.Header, 16)
	setCustom(h, endpoint.Headers)
	body := compose(d, h)
	if s.tracer != nil {
		s.tracer.Inject(ctx, h)
	}
	sign(h, d.ID, at, keys, body)
	h["User-Agent"] = s.userAgent
	h["Accept-Encoding"] = []string{"identity"}
	// Empty, it is not sent: it tells net/http that the request may be sent
	// again when a connection that was kept turns out to be closed.
	h["Idempotency-Key"] = []string{}
	h[headerSubscription] = []string{d.Subscription.ID}
	h[headerAttempt] = []string{strconv.Itoa(d.Attempt)}
	h[headerStream] = []string{d.Records[0].Stream}
	h[headerPartition] = []string{strconv.Itoa(int(d.Records[0].Partition))}
	h[headerOffset] = []string{strconv.FormatInt(d.Records[0].Offset, 10)}
	req := &http.Request{
		Method: http.MethodPost, URL: u, Host: u.Host, Header: h, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: http.NoBody, ContentLength: int64(len(body)),
	}
	if len(body) > 0 {
		setBody(req, body)
	}
	return req.WithContext(ctx), nil
}

// setBody sets a body that can be sent again, but not often: an endpoint may
// close each connection because of what it is sent.
func setBody(req *http.Request, body []byte) {
	again := 0
	req.Body = io.NopCloser(bytes.NewReader(body))
	req.GetBody = func() (io.ReadCloser, error) {
		if again++; again > maxAgain {
			return nil, io.ErrUnexpectedEOF
		}
		return io.NopCloser(bytes.NewReader(body)), nil
	}
}

// readRest reads a body up to its bound, and gives its beginning. Only what was
// read to its end leaves a connection that can be used again.
func readRest(body io.Reader) []byte {
	var begin bytes.Buffer
	rest := io.LimitReader(body, maxRest)
	// What cannot be read does not matter any more.
	_, _ = io.CopyN(&begin, rest, maxExcerptSource)
	_, _ = io.Copy(io.Discard, rest)
	return begin.Bytes()
}
