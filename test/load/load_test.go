package main

import (
	"testing"
)

func TestFlat(t *testing.T) {
	for _, c := range []struct {
		name   string
		values []float64
		want   bool
	}{
		{"level", []float64{100, 101, 99, 100, 101, 99, 100, 100}, true},
		{"grows only at first", []float64{10, 40, 80, 100, 100, 101, 100, 101}, true},
		{"falls", []float64{200, 190, 180, 170, 160, 150, 140, 130}, true},
		{"leaks", []float64{100, 110, 120, 130, 140, 150, 160, 170}, false},
		{"leaks slowly, to less than the amount", []float64{100, 101, 102, 103, 104, 105, 106, 107}, true},
	} {
		if grown, ok := flat(c.values, 5); ok != c.want {
			t.Errorf("%s: flat is %v, want %v: it grew by %.1f", c.name, ok, c.want, grown)
		}
	}
}

func TestSteady(t *testing.T) {
	if _, _, ok := steady([]float64{10, 11, 10, 12, 10, 11}); !ok {
		t.Error("level latencies do not count as steady")
	}
	if _, _, ok := steady([]float64{10, 11, 10, 12, 40, 41}); ok {
		t.Error("latencies that grow fourfold count as steady")
	}
}

func TestLedger(t *testing.T) {
	var l ledger
	for _, o := range []int64{0, 1, 3, 100_000, 3} {
		if err := l.note(2, o); err != nil {
			t.Fatal(err)
		}
	}
	if count, repeated := l.total(); count != 4 || repeated != 1 {
		t.Errorf("%d offsets and %d repeated, want 4 and 1", count, repeated)
	}
	if l.note(-1, 0) == nil {
		t.Error("an answer without a partition was noted")
	}
}

// TestReader: what the herd's readers count is what the stream did.
func TestReader(t *testing.T) {
	r := &reader{audience: &audience{}, buf: []byte("retry: 1500\nid: p1.0\n\n" +
		"id: p1.1\ndata: {\"partition\":1,\"offset\":0,\"data\":{}}\n\n" +
		"id: p1.2\ndata: {\"partition\":1,\"offset\":0,\"data\":{}}\n\n" +
		": keep-alive\nid: p1.3\n\n" +
		"id: p1.4\ndata: {\"partition\":1,\"offset\":4,\"data\":{}}\n\n" +
		"event: gap\ndata: {\"partition\":1,\"from\":5,\"to\":6}\n\n" +
		"retry: 7000\nevent: end\ndata: {\"reason\":\"overloaded\"}\n\nid: half an ev")}
	r.take()
	if e, re, mi, g, tu := r.events.Load(), r.repeated.Load(), r.missing.Load(), r.gaps.Load(), r.turned.Load(); e != 3 || re != 1 || mi != 3 || g != 1 || tu != 1 {
		t.Errorf("events %d, repeated %d, missing %d, gaps %d, turned away %d; want 3, 1, 3, 1, 1", e, re, mi, g, tu)
	}
	if string(r.id) != "p1.4" || r.retry.Milliseconds() != 7000 || string(r.buf) != "id: half an ev" {
		t.Errorf("id %q, retry %v, left %q", r.id, r.retry, r.buf)
	}
}

func TestWhere(t *testing.T) {
	if p, o, err := where([]byte("/streams/orders/records/3/1234567")); err != nil || p != 3 || o != 1234567 {
		t.Errorf("partition %d, offset %d, %v", p, o, err)
	}
	for _, bad := range []string{"", "/", "/streams/x", "a/b/c"} {
		if _, _, err := where([]byte(bad)); err == nil {
			t.Errorf("%q is taken for a Location", bad)
		}
	}
}

// TestAttended: what a reader catches up on counts as an event, and not as a
// latency of following.
func TestAttended(t *testing.T) {
	for attended, want := range map[bool]int{false: 2, true: 1} {
		r := &reader{audience: &audience{attended: attended}, times: true, since: 100, buf: []byte(
			"id: p1.1\ndata: {\"partition\":1,\"offset\":0,\"data\":{\"t\":99}}\n\n" +
				"id: p1.2\ndata: {\"partition\":1,\"offset\":1,\"data\":{\"t\":100}}\n\n")}
		r.take()
		if e, n := r.events.Load(), r.latencies.Count(); e != 2 || n != want {
			t.Errorf("attended %v: %d events and %d latencies, want 2 and %d", attended, e, n, want)
		}
	}
}
