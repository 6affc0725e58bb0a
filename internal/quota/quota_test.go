package quota_test

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sluice/internal/quota"
	"sluice/internal/stream"
)

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Duration
}

func (c *clock) Now() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += d
}

func newBook(o quota.Options) (*quota.Book, *clock, *prometheus.Registry) {
	c, reg := &clock{}, prometheus.NewRegistry()
	o.Clock, o.Registerer = c.Now, reg
	return quota.New(o), c, reg
}

func from(address string) *stream.Tab { return &stream.Tab{Address: netip.MustParseAddr(address)} }

func by(principal string) *stream.Tab { return &stream.Tab{Principal: principal} }

// admit counts a request, and gives how long a refused one is to wait.
func admit(t *testing.T, b *quota.Book, tab *stream.Tab) time.Duration {
	t.Helper()
	party := stream.PartyAddress
	if tab.Principal != "" {
		party = stream.PartyPrincipal
	}
	err := b.Admit(tab, party)
	if err == nil {
		return 0
	}
	e, ok := err.(*stream.Error)
	if !ok || e.Code != stream.RateLimited || e.RetryAfter <= 0 || e.Message == "" {
		t.Fatalf("got %v", err)
	}
	return e.RetryAfter
}

func TestRequestsComeAnewWithTime(t *testing.T) {
	b, c, reg := newBook(quota.Options{Principal: quota.Limits{Requests: 10, Burst: 30}})
	for i := range 30 {
		if wait := admit(t, b, by("token:a")); wait != 0 {
			t.Fatalf("request %d is to wait %v", i, wait)
		}
	}
	for range 3 { // what is refused is not counted
		if wait := admit(t, b, by("token:a")); wait != 100*time.Millisecond {
			t.Fatalf("got %v", wait)
		}
	}
	if wait := admit(t, b, by("token:b")); wait != 0 {
		t.Error("another principal pays for it")
	}
	c.pass(200 * time.Millisecond)
	for i, want := range []time.Duration{0, 0, 100 * time.Millisecond} {
		if wait := admit(t, b, by("token:a")); wait != want {
			t.Errorf("%d: got %v, want %v", i, wait, want)
		}
	}
	want := `# HELP sluice_quota_refusals_total Requests, streams and connections refused because a quota was used up, by the quota.
# TYPE sluice_quota_refusals_total counter
sluice_quota_refusals_total{quota="address-bytes"} 0
sluice_quota_refusals_total{quota="address-connections"} 0
sluice_quota_refusals_total{quota="address-failures"} 0
sluice_quota_refusals_total{quota="address-requests"} 0
sluice_quota_refusals_total{quota="address-streams"} 0
sluice_quota_refusals_total{quota="principal-bytes"} 0
sluice_quota_refusals_total{quota="principal-requests"} 4
sluice_quota_refusals_total{quota="principal-streams"} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "sluice_quota_refusals_total"); err != nil {
		t.Error(err)
	}
}

func TestWhatACallerIsTold(t *testing.T) {
	b, c, _ := newBook(quota.Options{Address: quota.Limits{Requests: 10, Burst: 30, Bytes: 1000, Failures: 5}})
	requests := &stream.Policy{Name: "address-requests", Quota: 30, Window: 3}
	bytes := &stream.Policy{Name: "address-bytes", Quota: 64 << 10, Unit: "content-bytes", Window: 66}
	told := func(tab *stream.Tab, want ...stream.Standing) {
		t.Helper()
		if diff := cmp.Diff(want, tab.Standings); diff != "" {
			t.Errorf("want (-), got (+):\n%s", diff)
		}
	}
	tab := from("192.0.2.1")
	admit(t, b, tab)
	told(tab, stream.Standing{Policy: requests, Left: 29, Reset: 2900 * time.Millisecond})

	tab = from("192.0.2.1")
	tab.Body = true
	admit(t, b, tab)
	if wait := b.Spend(tab, 64<<10); wait != time.Millisecond {
		t.Errorf("got %v", wait)
	}
	told(tab, stream.Standing{Policy: requests, Left: 28, Reset: 2800 * time.Millisecond},
		stream.Standing{Policy: bytes, Reset: time.Millisecond})
	if wait := b.Spend(tab, 200<<10); wait != 204_801*time.Millisecond { // more than fits in at once
		t.Errorf("got %v", wait)
	}

	tab = from("192.0.2.1")
	tab.Body = true
	if wait := admit(t, b, tab); wait != 204_801*time.Millisecond {
		t.Errorf("got %v", wait)
	}
	told(tab, stream.Standing{Policy: requests, Left: 28, Reset: 2800 * time.Millisecond}, stream.Standing{Policy: bytes, Reset: 204_801 * time.Millisecond, Over: true})
	if wait := admit(t, b, from("192.0.2.1")); wait != 0 {
		t.Error("a request without a body waits for bytes")
	}
	c.pass(204_801 * time.Millisecond)
	if wait := admit(t, b, tab); wait != 0 {
		t.Errorf("got %v", wait)
	}
}

func TestFailuresSlowGuessing(t *testing.T) {
	b, c, _ := newBook(quota.Options{Address: quota.Limits{Failures: 2}})
	for range 20 {
		tab := from("192.0.2.1")
		if wait := admit(t, b, tab); wait != 0 || len(tab.Standings) > 0 {
			t.Fatalf("got %v, %v", wait, tab.Standings)
		}
		b.Fail(tab)
	}
	if wait := admit(t, b, from("192.0.2.1")); wait != 500*time.Millisecond {
		t.Errorf("got %v", wait)
	}
	if wait := admit(t, b, from("192.0.2.2")); wait != 0 {
		t.Error("another address pays for it")
	}
	c.pass(500 * time.Millisecond)
	if wait := admit(t, b, from("192.0.2.1")); wait != 0 {
		t.Errorf("got %v", wait)
	}
}

func TestStreamsOpenAtOnce(t *testing.T) {
	b, _, _ := newBook(quota.Options{Address: quota.Limits{Streams: 3}, Principal: quota.Limits{Streams: 2}})
	open := func(principal string) (func(), error) {
		return b.Enter(&stream.Tab{Address: netip.MustParseAddr("192.0.2.1"), Principal: principal})
	}
	first, err := open("token:a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open("token:a"); err != nil {
		t.Fatal(err)
	}
	if _, err := open("token:a"); stream.CodeOf(err) != stream.RateLimited || !strings.Contains(err.Error(), "token:a has 2 streams") {
		t.Fatalf("got %v", err)
	}
	if _, err := open("token:b"); err != nil { // the refused one is not counted for the address
		t.Fatal(err)
	}
	if _, err := open("token:c"); stream.CodeOf(err) != stream.RateLimited || !strings.Contains(err.Error(), "your address has 3 streams") {
		t.Fatalf("got %v", err)
	}
	first()
	if _, err := open("token:a"); err != nil {
		t.Error(err)
	}
}

func TestConnectionsOfAnAddress(t *testing.T) {
	b, _, _ := newBook(quota.Options{Address: quota.Limits{Connections: 1}})
	a := netip.MustParseAddr("192.0.2.1")
	leave, ok := b.Connect(a)
	if _, second := b.Connect(a); !ok || second {
		t.Errorf("the first is let in: %v, the second: %v", ok, second)
	}
	if _, other := b.Connect(netip.MustParseAddr("192.0.2.2")); !other {
		t.Error("another address pays for it")
	}
	leave()
	if _, ok := b.Connect(a); !ok {
		t.Error("a connection that ended still counts")
	}
}

func TestWhoseQuotas(t *testing.T) {
	b, _, _ := newBook(quota.Options{
		Principal: quota.Limits{Requests: 1, Subscriptions: 7},
		Principals: []quota.Rule{
			{Match: "token:batch", Limits: quota.Limits{Requests: 2, Subscriptions: 9}},
			{Match: "token:b*", Limits: quota.Limits{Requests: 3}},
			{Match: "oidc:*", Limits: quota.Limits{}},
		},
	})
	for principal, want := range map[string]int{"token:batch": 2, "token:batches": 3, "token:b": 3, "token:a": 1, "cert:CN=b": 1} {
		got := 0
		for admit(t, b, by(principal)) == 0 {
			got++
		}
		if got != want {
			t.Errorf("%s: %d requests at once, want %d", principal, got, want)
		}
	}
	for range 100 {
		if admit(t, b, by("oidc:alice")) != 0 {
			t.Fatal("a rule without limits limits")
		}
	}
	got := []int{b.Subscriptions("token:batch"), b.Subscriptions("token:b"), b.Subscriptions("token:a")}
	if diff := cmp.Diff([]int{9, 0, 7}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAddressesThatAreOne(t *testing.T) {
	for second, same := range map[string]bool{
		"2001:db8:0:1:ffff::2":  true,
		"2001:db8:0:2::1":       false,
		"2001:db8:0:1::1%eth0":  true,
		"::ffff:192.0.2.1":      false,
		"2001:db8:0:1:1:2:3:4":  true,
		"2001:db8:1000:1::1":    false,
		"fe80::1%this-does-not": false,
	} {
		b, _, _ := newBook(quota.Options{Address: quota.Limits{Requests: 1}})
		admit(t, b, from("2001:db8:0:1::1"))
		if wait := admit(t, b, from(second)); (wait > 0) != same {
			t.Errorf("%s waits %v", second, wait)
		}
	}
	b, _, _ := newBook(quota.Options{Address: quota.Limits{Requests: 1}})
	admit(t, b, from("192.0.2.1"))
	if admit(t, b, from("::ffff:192.0.2.1")) == 0 {
		t.Error("an address of IPv4 written as one of IPv6 is another")
	}
	for range 3 {
		if err := b.Admit(&stream.Tab{}, stream.PartyAddress); err != nil {
			t.Error(err)
		}
	}
}
