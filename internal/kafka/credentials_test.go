package kafka_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
	"sluice/internal/tlsconf"
	"sluice/internal/tlsconf/tlstest"
)

// doorman is a broker's TLS, which wants client certificates, and knows whose
// connections are open.
type doorman struct {
	mu   sync.Mutex
	open map[net.Conn]string // the name on the certificate
}

// visit is a connection whose end the doorman sees.
type visit struct {
	net.Conn
	doorman *doorman
}

func (v *visit) Close() error {
	v.doorman.mu.Lock()
	delete(v.doorman.open, v)
	v.doorman.mu.Unlock()
	return v.Conn.Close()
}

type door struct {
	net.Listener
	doorman *doorman
}

func (d door) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &visit{conn, d.doorman}, nil
}

// count says how many connections show a name.
func (d *doorman) count(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, who := range d.open {
		if who == name {
			n++
		}
	}
	return n
}

// guarded starts a broker behind a doorman.
func guarded(t *testing.T, ca *tlstest.Authority) (*kafkatest.Broker, *doorman) {
	t.Helper()
	d := &doorman{open: map[net.Conn]string{}}
	clients := x509.NewCertPool()
	clients.AddCert(ca.Cert)
	base := &tls.Config{
		Certificates: []tls.Certificate{ca.Issue(t, "broker", time.Now().Add(time.Hour), "127.0.0.1").TLS()},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: clients,
	}
	perConn := base.Clone()
	perConn.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		cfg := base.Clone()
		cfg.VerifyConnection = func(cs tls.ConnectionState) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.open[hello.Conn] = cs.PeerCertificates[0].Subject.CommonName
			return nil
		}
		return cfg, nil
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(perConn), kfake.ListenFn(func(network, addr string) (net.Listener, error) {
		l, err := net.Listen(network, addr)
		return door{l, d}, err
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return &kafkatest.Broker{Name: "embedded", Addr: cluster.ListenAddrs()[0]}, d
}

// identityFiles are a certificate and its key on disk.
type identityFiles struct{ cert, key string }

func (f identityFiles) put(t *testing.T, i tlstest.Identity) {
	t.Helper()
	write(t, f.cert, i.CertPEM)
	write(t, f.key, i.KeyPEM)
}

// All that meets Kafka does so with the certificate that is on disk, soon after
// it was put there: no connection with the earlier one is left, and nothing that
// was published or read meanwhile is lost. A key that does not fit is not used.
func TestCertificateOnDiskIsTakenOver(t *testing.T) {
	t.Parallel()
	ca := tlstest.NewAuthority(t, "ca")
	b, door := guarded(t, ca)
	first, second := ca.Issue(t, "first", time.Now().Add(time.Hour)), ca.Issue(t, "second", time.Now().Add(2*time.Hour))
	files := identityFiles{t.TempDir() + "/cert", t.TempDir() + "/key"}
	files.put(t, first)
	g := startWith(t, b, kafka.Options{
		BootstrapServers: []string{b.Addr}, SecurityProtocol: "SSL",
		SSL: &tlsconf.Context{CAData: ca.PEM, CertFile: files.cert, KeyFile: files.key},
	})
	all := settle(t, g, b)
	if n := door.count("first"); n < 7 { // control, producer, reader, pages, tail, log, member, fleet
		t.Fatalf("%d connections", n)
	}
	publishing := all.publish(t)

	files.put(t, second)
	kafkatest.Eventually(t, patience, func() error {
		if before, now := door.count("first"), door.count("second"); before > 0 || now < 4 {
			return fmt.Errorf("%d connections have the first certificate, %d the second", before, now)
		}
		return nil
	})
	n := publishing.more(t, 10)
	all.check(t, n)
	if got := sample(t, g.metrics, "sluice_kafka_tls_expiry_timestamp_seconds")["of=client"]; got != float64(second.Cert.NotAfter.Unix()) {
		t.Errorf("the metric says that the certificate ends at %v", got)
	}

	write(t, files.key, first.KeyPEM)
	eventually(t, g.metrics, "sluice_kafka_credentials_refused", "", func(v float64) bool { return v == 1 })
	if why := g.Credentials(); !strings.Contains(why, "`ssl_context.keyfile`") || !strings.Contains(why, "does not belong") {
		t.Errorf("it is said that %q", why)
	}
	if err := g.AskFirst(10_000); err != nil {
		t.Errorf("a new client does not go on with what there was: %v", err)
	}
	write(t, files.key, second.KeyPEM)
	eventually(t, g.metrics, "sluice_kafka_credentials_refused", "", func(v float64) bool { return v == 0 })
	if got := sample(t, g.metrics, "sluice_kafka_credentials_renewals_total")[""]; got != 1 || g.Credentials() != "" {
		t.Errorf("%v renewals, %q", got, g.Credentials())
	}
}

// everything is all parts that meet Kafka, on a stream of one partition.
type everything struct {
	*gateway
	reader  *kafka.Reader
	readers *kafka.Readers
	log     *replicatedLog
	member  *member
	ship    *ship

	mu     sync.Mutex
	tailed []string
}

// settle starts everything, and returns when each part has done its work once.
func settle(t *testing.T, g *gateway, b *kafkatest.Broker) *everything {
	t.Helper()
	e := &everything{gateway: g}
	for name, partitions := range map[string]int{"orders": 1, "fleet": fleetPartitions} {
		if _, err := g.admin.Create(t.Context(), stream.TopicSpec{Name: name, Partitions: partitions}); err != nil {
			t.Fatal(err)
		}
	}
	e.reader = kafka.NewReader(g.Cluster, stream.Topics{})
	t.Cleanup(func() { _ = e.reader.Close() })
	e.readers = openReaders(t, b, g.Cluster, 1)
	s := &state{}
	s.Reset()
	e.log = &replicatedLog{kafka.NewLog(kafka.LogOptions{Topic: "log", Cluster: g.Cluster, Producer: g.Producer, Admin: g.admin}, s), s}
	e.log.Start()
	t.Cleanup(e.log.Close)
	team := &team{gateway: g, t: t, b: b, group: "group"}
	e.member = team.join(team.layouts("orders"))
	e.ship = &ship{gateway: g, owned: map[int32]bool{}}
	e.ship.Fleet = kafka.NewFleet(g.Cluster, fleetOptions(t, "fleet", e.ship))
	e.ship.Start()
	t.Cleanup(e.ship.Close)
	e.follow(t)
	g.store(t, stream.Message{Topic: "orders", Value: []byte("0")})
	e.check(t, 1)
	return e
}

// follow reads the stream from its beginning with a tail.
func (e *everything) follow(t *testing.T) {
	t.Helper()
	tail, err := kafka.NewTail(e.Cluster, stream.Topics{})
	if err != nil {
		t.Fatal(err)
	}
	if err := tail.Add([]stream.At{{Partition: part("orders", 0)}}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			for _, f := range tail.Poll(50 * time.Millisecond) {
				e.mu.Lock()
				switch {
				case f.Record != nil:
					e.tailed = append(e.tailed, string(f.Record.Value))
				case f.Lost:
					e.tailed = append(e.tailed, "lost")
				}
				e.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
		_ = tail.Close()
	})
}

// check waits until each part has done its work with n records: their values are
// their numbers.
func (e *everything) check(t *testing.T, n int) {
	t.Helper()
	kafkatest.Eventually(t, patience, func() error { return e.worked(t, n) })
	want := make([]string, n)
	for i := range want {
		want[i] = strconv.Itoa(i)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if d := cmp.Diff(want, e.tailed); d != "" {
		t.Errorf("followed (-want +got):\n%s", d)
	}
}

func (e *everything) worked(t *testing.T, n int) error {
	e.mu.Lock()
	tailed := len(e.tailed)
	e.mu.Unlock()
	if read := len(values(e.member)); tailed < n || read != n || len(e.ship.Owned()) != fleetPartitions {
		return fmt.Errorf("%d of %d followed, the member has %d, the fleet %v", tailed, n, read, e.ship.Owned())
	}
	r, err := e.reader.Read(t.Context(), "orders", 0, int64(n-1))
	if err != nil || string(r.Value) != strconv.Itoa(n-1) {
		return fmt.Errorf("read %s: %w", r.Value, err)
	}
	last := min(n, 10)
	page, err := e.readers.Read(t.Context(), []stream.Span{spanOf("orders", 0, int64(n-last), int64(n))}, stream.PageLimit{Records: n, Bytes: 1 << 20})
	if err != nil || len(page.Records) != last {
		return fmt.Errorf("a page of %d: %w", len(page.Records), err)
	}
	if err := e.log.Sync(t.Context()); err != nil {
		return err
	}
	revision := e.log.state.get("x").Revision
	if won, err := e.log.Write(t.Context(), "x", revision, []byte("1")); err != nil || !won {
		return errors.Join(errors.New("the log is not written"), err)
	}
	return nil
}

// publishing is one publisher, who waits for each report.
type publishing struct {
	stop chan struct{}
	done chan struct{}
	sent chan int // one for each record
	n    int
	err  error
}

// publish sends records, numbered from 1, one every few milliseconds.
func (e *everything) publish(t *testing.T) *publishing {
	p := &publishing{stop: make(chan struct{}), done: make(chan struct{}), sent: make(chan int, 1), n: 1}
	t.Cleanup(func() { p.end() })
	go func() {
		defer close(p.done)
		pace := time.NewTicker(5 * time.Millisecond)
		defer pace.Stop()
		for {
			<-pace.C
			got := <-e.send(stream.Message{Topic: "orders", Value: []byte(strconv.Itoa(p.n))})
			if got.err != nil || got.report.Offset != int64(p.n) {
				p.err = fmt.Errorf("record %d is stored at %d: %w", p.n, got.report.Offset, got.err)
				return
			}
			p.n++
			select {
			case p.sent <- p.n:
			case <-p.stop:
				return
			default:
			}
		}
	}()
	return p
}

func (p *publishing) end() {
	select {
	case <-p.stop:
	default:
		close(p.stop)
	}
	<-p.done
}

// more waits for so many more records, ends, and gives how many there are.
func (p *publishing) more(t *testing.T, n int) int {
	t.Helper()
	for range n {
		select {
		case <-p.sent:
		case <-p.done:
		case <-time.After(patience):
			t.Fatal("nothing is published any more")
		}
	}
	p.end()
	if p.err != nil {
		t.Fatal(p.err)
	}
	return p.n
}
