package quota_test

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/quota"
	"sluice/internal/stream"
)

// accounts gives how many accounts of a kind there are, by the metric.
func accounts(t *testing.T, reg *prometheus.Registry, kind string) int {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "sluice_quota_accounts" && m.GetLabel()[0].GetValue() == kind {
				return int(m.GetGauge().GetValue())
			}
		}
	}
	t.Fatal("there is no such metric")
	return 0
}

func address(i int) netip.Addr {
	var b [16]byte
	b[0] = 0x20
	binary.BigEndian.PutUint32(b[4:], uint32(i))
	return netip.AddrFrom16(b)
}

// A flood of addresses takes bounded memory, has nobody refused, and does not
// make the gateway forget what is open.
func TestAFloodOfAddresses(t *testing.T) {
	const room = 1024
	b, c, reg := newBook(quota.Options{Address: quota.Limits{Requests: 1, Streams: 1, Connections: 1}, Room: room})
	reader := &stream.Tab{Address: address(1 << 30)}
	leave, err := b.Enter(reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := b.Connect(address(1<<30 + 1)); !ok {
		t.Fatal("the first connection is refused")
	}
	for i := range 5_000 {
		c.pass(time.Microsecond)
		if err := b.Admit(&stream.Tab{Address: address(i)}, stream.PartyAddress); err != nil {
			t.Fatal(err)
		}
	}
	if n := accounts(t, reg, "address"); n > room+2 || n < room/2 {
		t.Errorf("%d addresses are kept", n)
	}
	if _, err := b.Enter(reader); err == nil {
		t.Error("the open stream was forgotten")
	}
	if _, ok := b.Connect(address(1<<30 + 1)); ok {
		t.Error("the open connection was forgotten")
	}
	leave()
	if _, err := b.Enter(reader); err != nil {
		t.Error(err)
	}
}

// Who has not been seen for as long as its quota takes to be whole is forgotten
// when others come.
func TestTheIdleAreForgotten(t *testing.T) {
	b, c, reg := newBook(quota.Options{Principal: quota.Limits{Requests: 1}})
	for i := range 5_000 {
		admit(t, b, by(strconv.Itoa(i)))
	}
	if n := accounts(t, reg, "principal"); n != 5_000 {
		t.Fatalf("%d are kept", n)
	}
	for i := range 5_000 {
		c.pass(time.Second)
		admit(t, b, by("x"+strconv.Itoa(i)))
	}
	if n := accounts(t, reg, "principal"); n > 700 {
		t.Errorf("%d are kept", n)
	}
}

func TestManyAtOnce(t *testing.T) {
	b, _, _ := newBook(quota.Options{
		Address: quota.Limits{Requests: 500, Bytes: 1 << 20, Streams: 10, Failures: 1000}, Principal: quota.Limits{Requests: 1000, Streams: 5},
	})
	var admitted sync.Map
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			n := 0
			for i := range 500 {
				tab := &stream.Tab{Address: address(worker % 4), Body: true}
				if b.Admit(tab, stream.PartyAddress) != nil {
					continue
				}
				n++
				tab.Principal = "token:" + strconv.Itoa(i%7)
				if b.Admit(tab, stream.PartyPrincipal) == nil {
					b.Spend(tab, 10)
					if leave, err := b.Enter(tab); err == nil {
						leave()
					}
				}
				b.Fail(tab)
			}
			admitted.Store(worker, n)
		})
	}
	wg.Wait()
	total := 0
	admitted.Range(func(_, n any) bool { total += n.(int); return true })
	if total != 4*500 {
		t.Errorf("%d requests were let through, want 500 of each address", total)
	}
}

// BenchmarkRequest is what quotas cost a publish of one record, with all of them
// configured and a caller of its own for each goroutine.
func BenchmarkRequest(b *testing.B) {
	all := quota.Limits{Requests: 1 << 30, Burst: 1 << 30, Bytes: 1 << 40, Streams: 10, Failures: 10}
	book := quota.New(quota.Options{Address: all, Principal: all, Registerer: prometheus.NewRegistry()})
	var mu sync.Mutex
	callers := 0
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		mu.Lock()
		callers++
		principal, from := "token:"+strconv.Itoa(callers), address(callers)
		mu.Unlock()
		var room [5]stream.Standing
		var tab stream.Tab
		for pb.Next() {
			tab = stream.Tab{Address: from, Body: true, Standings: room[:0]}
			if book.Admit(&tab, stream.PartyAddress) != nil {
				b.Error("refused")
			}
			tab.Principal = principal
			if book.Admit(&tab, stream.PartyPrincipal) != nil {
				b.Error("refused")
			}
			book.Spend(&tab, 200)
		}
	})
}

// BenchmarkNewcomer is a request of an address that was never seen, in a flood
// of such.
func BenchmarkNewcomer(b *testing.B) {
	book := quota.New(quota.Options{Address: quota.Limits{Requests: 100}, Registerer: prometheus.NewRegistry()})
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		tab := stream.Tab{Address: address(i)}
		_ = book.Admit(&tab, stream.PartyAddress)
	}
}
