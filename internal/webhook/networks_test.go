package webhook_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sluice/internal/stream"
	"sluice/internal/webhook"
)

const refusedAtCreation = "the endpoint's url leads to a private, loopback, link-local or otherwise special network, where nothing is delivered; the operator can permit networks with webhooks.allow_networks"

const refusedAtConnect = "the endpoint's address lies in a private, loopback, link-local or otherwise special network, to which nothing is delivered unless webhooks.allow_networks has it"

func allow(networks ...string) func(*webhook.Options) {
	return func(o *webhook.Options) {
		o.AllowNetworks = nil
		for _, n := range networks {
			o.AllowNetworks = append(o.AllowNetworks, netip.MustParsePrefix(n))
		}
	}
}

func TestAddresses(t *testing.T) {
	none, _ := newSender(t, allow())
	for addr, refused := range map[string]bool{
		"1.1.1.1": false, "8.8.8.8": false, "100.63.255.255": false, "100.128.0.0": false, "172.15.0.1": false, "172.32.0.1": false, "169.253.1.1": false,
		"192.0.1.1": false, "198.17.0.1": false, "223.255.255.255": false, "11.0.0.1": false, "168.63.129.15": false,
		"0.0.0.0": true, "0.1.2.3": true, "10.1.2.3": true, "100.64.0.1": true, "100.100.100.200": true, "100.127.255.255": true, "127.0.0.1": true, "127.9.9.9": true,
		"168.63.129.16": true, "169.254.169.254": true, "172.16.0.1": true, "172.31.255.255": true, "192.0.0.192": true, "192.0.2.1": true, "192.88.99.1": true,
		"192.168.1.1": true, "198.18.0.1": true, "198.19.255.255": true, "198.51.100.1": true, "203.0.113.9": true, "224.0.0.1": true, "239.255.255.255": true,
		"240.0.0.1": true, "255.255.255.255": true,
		"[2606:4700:4700::1111]": false, "[2a00:1450::1]": false, "[2001:200::1]": false,
		"[::]": true, "[::1]": true, "[::2]": true, "[fc00::1]": true, "[fd00:ec2::254]": true, "[fe80::1]": true, "[fec0::1]": true, "[ff02::1]": true,
		"[100::1]": true, "[2001::1]": true, "[2001:db8::1]": true, "[3fff::1]": true, "[4000::1]": true, "[64:ff9b:1::1]": true,
		// those that carry an address of IPv4: mapped, compatible, NAT64, 6to4, Teredo
		"[::ffff:1.1.1.1]": false, "[::ffff:127.0.0.1]": true, "[::ffff:a9fe:a9fe]": true, "[::127.0.0.1]": true, "[::1.1.1.1]": true,
		"[64:ff9b::1.1.1.1]": false, "[64:ff9b::127.0.0.1]": true, "[64:ff9b::a9fe:a9fe]": true,
		"[2002:101:101::1]": false, "[2002:7f00:1::1]": true, "[2002:a9fe:a9fe::1]": true, "[2001:0:4136:e378:8000:63bf:3fff:fdd2]": true,
	} {
		err := none.CheckURL(t.Context(), "http://"+addr+"/hook")
		if (err != nil) != refused {
			t.Errorf("%s: error %v, want refused: %v", addr, err, refused)
		}
		if refused && (stream.CodeOf(err) != stream.InvalidRequest || err.(*stream.Error).Message != refusedAtCreation) {
			t.Errorf("%s: the error is %v", addr, err)
		}
	}
}

func TestAllowedNetworks(t *testing.T) {
	for _, tc := range []struct {
		allow   string
		addr    string
		refused bool
	}{
		{"10.0.0.0/8", "10.1.2.3", false},
		{"10.9.9.9/8", "10.1.2.3", false},
		{"10.0.0.0/8", "[::ffff:10.1.2.3]", false},
		{"10.0.0.0/8", "[64:ff9b::10.1.2.3]", false},
		{"10.0.0.0/8", "11.1.2.3", false},
		{"10.0.0.0/8", "127.0.0.1", true},
		{"::ffff:10.0.0.0/104", "10.1.2.3", false},
		{"0.0.0.0/0", "127.0.0.1", false},
		{"0.0.0.0/0", "[::1]", true},
		{"::1/128", "[::1]", false},
		{"::1/128", "127.0.0.1", true},
	} {
		s, _ := newSender(t, allow(tc.allow))
		if err := s.CheckURL(t.Context(), "https://"+tc.addr); (err != nil) != tc.refused {
			t.Errorf("%s with %s allowed: error %v, want refused: %v", tc.addr, tc.allow, err, tc.refused)
		}
	}
}

// What was checked at creation is checked again at each connection.
func TestConnectionsToRefusedNetworks(t *testing.T) {
	r := newReceiver(t, nil, nil)
	s, reg := newSender(t, allow("10.0.0.0/8"))
	u, _ := url.Parse(r.URL)
	for i, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "[::]", "0.0.0.0"} {
		a := s.Send(t.Context(), deliver("http://"+host+":"+u.Port(), nil))
		want(t, a, stream.DeliveryFailed, 0, refusedAtConnect)
		if got := counter(t, reg, "sluice_webhook_refused_addresses_total"); got != float64(i+1) {
			t.Errorf("%s: the metric says %v refusals, want %d", host, got, i+1)
		}
	}
	if r.connections() != 0 {
		t.Error("there was a connection")
	}
}

func counter(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// nameServer answers with address after address, the last one again and again;
// without any, that there is no such name. Several joined by commas are one
// answer.
func nameServer(t *testing.T, addresses ...string) (resolver *net.Resolver, asked *atomic.Int32) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked = &atomic.Int32{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(answerName(buf[:n], addresses, asked), from)
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}, asked
}

// answerName makes the answer to a question (RFC 1035, section 4): for A the
// next address, for others nothing.
func answerName(question []byte, addresses []string, asked *atomic.Int32) []byte {
	end := 12
	for question[end] != 0 {
		end += int(question[end]) + 1
	}
	end += 5
	kind := binary.BigEndian.Uint16(question[end-4:])
	answer := append([]byte{}, question[:end]...)
	answer[2], answer[3] = 0x81, 0x80
	copy(answer[4:], []byte{0, 1, 0, 0, 0, 0, 0, 0})
	switch {
	case len(addresses) == 0:
		answer[3] |= 3
	case kind == 1:
		n := int(asked.Add(1)) - 1
		for text := range strings.SplitSeq(addresses[min(n, len(addresses)-1)], ",") {
			addr := netip.MustParseAddr(text).As4()
			answer[7]++
			answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
			answer = append(answer, addr[:]...)
		}
	}
	return answer
}

// A name server that answers with a public address at creation and a private
// one afterwards gets nobody in.
func TestRebinding(t *testing.T) {
	r := newReceiver(t, nil, nil)
	u, _ := url.Parse(r.URL)
	resolver, asked := nameServer(t, "1.1.1.1", "127.0.0.1")
	s, _ := newSender(t, func(o *webhook.Options) { o.AllowNetworks, o.Resolver = nil, resolver })
	hook := "http://hooks.example.com.:" + u.Port() + "/"
	if err := s.CheckURL(t.Context(), hook); err != nil {
		t.Fatalf("at creation: %v", err)
	}
	want(t, s.Send(t.Context(), deliver(hook, nil)), stream.DeliveryFailed, 0, refusedAtConnect)
	if r.connections() != 0 || asked.Load() != 2 {
		t.Errorf("%d connections, asked %d times; want 0 and 2", r.connections(), asked.Load())
	}
	if err := s.CheckURL(t.Context(), hook); err == nil {
		t.Error("at creation the private address is taken")
	}
	// The same with the network allowed: it is the address that was refused.
	resolver, _ = nameServer(t, "127.0.0.1")
	s, _ = newSender(t, func(o *webhook.Options) { o.Resolver = resolver })
	want(t, s.Send(t.Context(), deliver(hook, nil)), stream.DeliveryDone, http.StatusNoContent, "")
}

func TestUnknownNames(t *testing.T) {
	resolver, _ := nameServer(t)
	s, _ := newSender(t, func(o *webhook.Options) { o.Resolver = resolver })
	err := s.CheckURL(t.Context(), "https://hooks.example.com./")
	if err == nil || err.(*stream.Error).Message != "the endpoint's url has a host whose name cannot be found; check its spelling" {
		t.Errorf("at creation: %v", err)
	}
	want(t, s.Send(t.Context(), deliver("https://hooks.example.com./", nil)), stream.DeliveryFailed, 0, "the name of the endpoint's host cannot be found")

	// While the name servers are away, a subscription can be made.
	resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }}
	s, _ = newSender(t, func(o *webhook.Options) { o.Resolver = resolver })
	if err := s.CheckURL(t.Context(), "https://hooks.example.com./"); err != nil {
		t.Errorf("without name servers, at creation: %v", err)
	}
	want(t, s.Send(t.Context(), deliver("https://hooks.example.com./", nil)), stream.DeliveryFailed, 0, "the name of the endpoint's host could not be looked up")
}

func TestCheckURL(t *testing.T) {
	s, _ := newSender(t, nil)
	for text, message := range map[string]string{
		"https://1.1.1.1":          "",
		"http://1.1.1.1:8080/a?b":  "",
		"HTTPS://1.1.1.1":          "",
		"":                         "begins with https:// or http://",
		"1.1.1.1/hook":             "begins with https:// or http://",
		"ftp://1.1.1.1":            "begins with https:// or http://",
		"file:///etc/passwd":       "begins with https:// or http://",
		"https:1.1.1.1":            "cannot be read; it is such as https://example.com/hook",
		"https://%zz":              "cannot be read; it is such as https://example.com/hook",
		"https://a\nb":             "cannot be read; it is such as https://example.com/hook",
		"https://user:p@1.1.1.1":   "has no user name or password; give an Authorization header in endpoint.headers instead",
		"https://1.1.1.1/#":        "has no fragment (#…): it is never sent",
		"https://":                 "has a host: a name in ASCII (xn--… for others) or an address without a zone",
		"https:///hook":            "has a host: a name in ASCII (xn--… for others) or an address without a zone",
		"https://münchen.example":  "has a host: a name in ASCII (xn--… for others) or an address without a zone",
		"https://[fe80::1%25eth0]": "has a host: a name in ASCII (xn--… for others) or an address without a zone",
		"https://1.1.1.1:":         "has a port from 1 to 65535, or none",
		"https://1.1.1.1:0":        "has a port from 1 to 65535, or none",
		"https://1.1.1.1:65536":    "has a port from 1 to 65535, or none",
		"https://1.1.1.1/" + strings.Repeat("a", 2048): "is longer than 2,048 bytes",
	} {
		err := s.CheckURL(t.Context(), text)
		switch {
		case message == "" && err != nil:
			t.Errorf("%.60q: error %v", text, err)
		case message != "" && (err == nil || stream.CodeOf(err) != stream.InvalidRequest || err.(*stream.Error).Message != "the endpoint's url "+message):
			t.Errorf("%.60q: error %v, want %s", text, err, message)
		}
	}
}

func TestMetricsAreThere(t *testing.T) {
	s, reg := newSender(t, nil)
	r := newReceiver(t, nil, nil)
	s.Send(t.Context(), deliver(r.URL, nil))
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP sluice_webhook_connections_total Connections made to webhook endpoints.
# TYPE sluice_webhook_connections_total counter
sluice_webhook_connections_total 1
# HELP sluice_webhook_refused_addresses_total Addresses of endpoints that were not connected to because of the network they lie in.
# TYPE sluice_webhook_refused_addresses_total counter
sluice_webhook_refused_addresses_total 0
`), "sluice_webhook_connections_total", "sluice_webhook_refused_addresses_total"); err != nil {
		t.Error(err)
	}
}
