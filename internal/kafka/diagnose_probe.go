package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Bounds of one examination: how long a server has for everything on one
// connection, of which there are at most two, one after the other; and how many
// servers are asked.
const (
	examineTimeout = 2 * time.Second
	examineServers = 5
)

// prober talks to a bootstrap server as a client with these options would, step
// by step, and says which step fails. It never logs in.
type prober struct {
	options Options // effective
}

// examineAll asks several servers at once, and gives the finding of the one
// that let the gateway come furthest.
func (p prober) examineAll(ctx context.Context) finding {
	servers := p.options.BootstrapServers
	findings := make([]finding, min(len(servers), examineServers))
	var running sync.WaitGroup
	for i := range findings {
		running.Go(func() { findings[i] = p.examine(ctx, servers[i]) })
	}
	running.Wait()
	var furthest finding
	for i, f := range findings {
		if i == 0 || f.stage > furthest.stage {
			furthest = f
		}
	}
	return furthest
}

// examine goes through the steps with one server.
func (p prober) examine(ctx context.Context, addr string) finding {
	conn, err := dial(ctx, addr)
	if err != nil {
		return unconnected(addr, err)
	}
	defer conn.Close()
	if !p.options.usesTLS() {
		return p.examinePlaintext(ctx, addr, conn)
	}
	secured, seen, err := p.secure(ctx, addr, conn)
	if err != nil {
		return p.unsecured(ctx, addr, seen, err)
	}
	if err := greet(secured); err != nil {
		return p.unanswered(addr, seen, err)
	}
	return p.examineLogin(ctx, addr, secured)
}

func (p prober) examinePlaintext(ctx context.Context, addr string, conn net.Conn) finding {
	err := greet(conn)
	switch {
	case err == nil:
		return p.examineLogin(ctx, addr, conn)
	case speaksTLS(ctx, addr):
		wanted := "SSL or SASL_SSL"
		if p.options.usesSASL() {
			wanted = "SASL_SSL"
		}
		return finding{encrypting, fmt.Sprintf("`security_protocol` is %s, but %s speaks TLS: set it to %s", p.options.protocol(), addr, wanted), ""}
	}
	return noKafka(addr, err)
}

// noKafka is for a server that takes connections, and does not answer.
func noKafka(addr string, err error) finding {
	return finding{speaking, fmt.Sprintf("`bootstrap_servers`: %s takes connections, but does not answer as Kafka does: is it the right port?", addr), err.Error()}
}

// examineLogin finds out whether the server wants a login, and which ones it
// takes.
func (p prober) examineLogin(ctx context.Context, addr string, conn net.Conn) finding {
	if !p.options.usesSASL() {
		return p.examineNoLogin(ctx, addr, conn)
	}
	mechanism := p.options.SASL.mechanism()
	answer, err := handshake(conn, mechanism)
	if err != nil {
		return finding{stage: nothingFound} // an odd broker: librdkafka knows more
	}
	switch answer.ErrorCode {
	case kerr.UnsupportedSaslMechanism.Code:
		return finding{loggingIn, fmt.Sprintf("the broker at %s offers %s, not `sasl_mechanism` %s", addr, enumerate(answer.SupportedMechanisms, "and"), mechanism), ""}
	case kerr.IllegalSaslState.Code:
		without := strings.TrimPrefix(strings.Replace(p.options.protocol(), saslPlaintext, plaintext, 1), "SASL_")
		return finding{loggingIn, fmt.Sprintf("`security_protocol` is %s, but %s asks for no login: set it to %s", p.options.protocol(), addr, without), ""}
	}
	return finding{stage: nothingFound}
}

// examineNoLogin asks a question that a server answers only to those who need
// not log in.
func (p prober) examineNoLogin(ctx context.Context, addr string, conn net.Conn) finding {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	if _, err := ask(conn, req, 1); !brokeOff(err) {
		return finding{stage: nothingFound}
	}
	again, err := p.reconnect(ctx, addr)
	if err != nil {
		return finding{stage: nothingFound}
	}
	defer again.Close()
	answer, err := handshake(again, "none")
	if err != nil || answer.ErrorCode == kerr.IllegalSaslState.Code {
		return finding{stage: nothingFound}
	}
	wanted := saslPlaintext
	if p.options.usesTLS() {
		wanted = saslOverTLS
	}
	return finding{loggingIn, fmt.Sprintf("`security_protocol` is %s, but %s wants a login: set it to %s, and `sasl_mechanism` to %s",
		p.options.protocol(), addr, wanted, enumerate(answer.SupportedMechanisms, "or")), ""}
}

// reconnect makes another connection on which Kafka is spoken.
func (p prober) reconnect(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	if p.options.usesTLS() {
		var secured *tls.Conn
		if secured, _, err = p.secure(ctx, addr, conn); err == nil {
			err = greet(secured)
		}
		if err != nil {
			conn.Close()
			return nil, err
		}
		return secured, nil
	}
	if err := greet(conn); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// dial connects; everything on the connection must be done by its deadline.
func dial(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, examineTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(examineTimeout)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// unconnected says why there is no connection. Go's own words would show
// addresses that nobody configured.
func unconnected(addr string, err error) finding {
	const key = "`bootstrap_servers`: "
	host, _, _ := net.SplitHostPort(addr) // Validate has seen to it
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return finding{resolving, fmt.Sprintf("%sthe name %s does not resolve to an address", key, host), err.Error()}
	case errors.As(err, &dns):
		return finding{resolving, fmt.Sprintf("%sthe name %s cannot be resolved: the name server does not answer", key, host), err.Error()}
	case errors.Is(err, syscall.ECONNREFUSED):
		return finding{connecting, fmt.Sprintf("%snothing listens on %s: the connection is refused", key, addr), ""}
	case timedOut(err):
		return finding{connecting, fmt.Sprintf("%s%s does not answer within %v: is the address right, and does a firewall let the gateway through?", key, addr, examineTimeout), ""}
	}
	return finding{connecting, fmt.Sprintf("%sno connection to %s can be made", key, addr), err.Error()}
}

// greet asks what the server can do, as every client of Kafka begins.
func greet(conn net.Conn) error {
	_, err := ask(conn, kmsg.NewPtrApiVersionsRequest(), 0)
	return err
}

// handshake names a mechanism; the answer lists those that the server takes.
func handshake(conn net.Conn, mechanism string) (*kmsg.SASLHandshakeResponse, error) {
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Mechanism = mechanism
	answer, err := ask(conn, req, 1)
	if err != nil {
		return nil, err
	}
	listed := answer.(*kmsg.SASLHandshakeResponse)
	slices.Sort(listed.SupportedMechanisms)
	return listed, nil
}

// enumerate joins "A", "B" and "C" to "A, B and C".
func enumerate(names []string, conjunction string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " " + conjunction + " " + names[last]
}

func timedOut(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}
