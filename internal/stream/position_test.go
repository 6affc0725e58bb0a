package stream_test

import (
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/stream"
)

func layout(id, topic string, partitions int) stream.Layout {
	return stream.Layout{Stream: id, TopicID: topic, Partitions: partitions}
}

// filled is a position in streams of so many partitions each.
func filled(streams, partitions int, offset int64) stream.Position {
	var p stream.Position
	for s := range streams {
		for n := range partitions {
			p.Set(layout(fmt.Sprintf("stream-%d", s), fmt.Sprintf("topic-%d", s), partitions), int32(n), offset)
		}
	}
	return p
}

func TestPositionKnowsWhatWasSet(t *testing.T) {
	orders, again, users := layout("orders", "T1", 3), layout("orders", "T2", 3), layout("users", "T3", 1)
	var p stream.Position
	if _, known := p.Find(orders); known != stream.KnownNot {
		t.Errorf("the zero position knows a stream: %v", known)
	}
	p.Set(orders, 2, 7)
	p.Set(orders, 0, 0)
	p.Set(users, 0, math.MaxInt64-1)
	p.Set(orders, 2, 8)
	for _, tc := range []struct {
		layout  stream.Layout
		offsets []int64
		known   stream.Known
	}{
		{orders, []int64{0, -1, 8}, stream.KnownWell},
		{users, []int64{math.MaxInt64 - 1}, stream.KnownWell},
		{again, []int64{0, -1, 8}, stream.KnownEarlier},
		{layout("order", "T1", 1), nil, stream.KnownNot},
	} {
		offsets, known := p.Find(tc.layout)
		if d := cmp.Diff(tc.offsets, offsets); d != "" || known != tc.known {
			t.Errorf("%v: got %v, %v", tc.layout, offsets, known)
		}
	}
	p.Set(again, 0, 5)
	if offsets, known := p.Find(again); known != stream.KnownWell || !slices.Equal(offsets, []int64{5}) {
		t.Errorf("the stream made again: got %v, %v", offsets, known)
	}
	p.Forget(again)
	p.Forget(layout("nothing", "T9", 1))
	if _, known := p.Find(again); known != stream.KnownEarlier {
		t.Errorf("after forgetting: got %v", known)
	}
	p.Forget(orders)
	if _, known := p.Find(orders); known != stream.KnownNot {
		t.Errorf("after forgetting both: got %v", known)
	}
}

func TestPositionCloneSharesNothing(t *testing.T) {
	l := layout("orders", "T1", 2)
	var p stream.Position
	p.Set(l, 0, 1)
	c := p.Clone()
	p.Set(l, 0, 2)
	p.Set(l, 1, 2)
	p.Set(layout("a", "T2", 1), 0, 3)
	if offsets, _ := c.Find(l); !slices.Equal(offsets, []int64{1}) {
		t.Errorf("got %v", offsets)
	}
	if _, known := c.Find(layout("a", "T2", 1)); known != stream.KnownNot {
		t.Error("the clone has a stream of the original")
	}
}

// Whatever is set, in whatever order, is there after the text form was written
// and read; and what was set in another order has the same text.
func TestPositionRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		type entry struct {
			layout    stream.Layout
			partition int32
			offset    int64
		}
		var entries []entry
		for s := range rnd.IntN(8) {
			l := layout(fmt.Sprintf("s%d", rnd.IntN(5)), fmt.Sprintf("t%d", s), 0)
			partitions := rnd.Perm(1 + rnd.IntN(12))
			for _, partition := range partitions[:1+rnd.IntN(len(partitions))] {
				entries = append(entries, entry{l, int32(partition), rnd.Int64N(1 << (1 + rnd.IntN(62)))})
			}
		}
		var p, shuffled stream.Position
		for _, e := range entries {
			p.Set(e.layout, e.partition, e.offset)
		}
		for _, i := range rnd.Perm(len(entries)) {
			shuffled.Set(entries[i].layout, entries[i].partition, entries[i].offset)
		}
		text := p.String()
		if !regexp.MustCompile(`^p1\.[A-Za-z0-9_-]*$`).MatchString(text) {
			t.Fatalf("got %q", text)
		}
		if shuffled.String() != text || string(p.AppendText([]byte("id: "))) != "id: "+text {
			t.Fatalf("%q is written in another way too", text)
		}
		got, err := stream.ParsePosition(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		for _, e := range entries {
			offsets, known := got.Find(e.layout)
			if known != stream.KnownWell || len(offsets) <= int(e.partition) || offsets[e.partition] != e.offset {
				t.Fatalf("%+v: got %v, %v", e, offsets, known)
			}
		}
	}
}

// A Last-Event-ID of more than 128 bytes makes a browser ask first whether it
// may send it.
func TestPositionIsShort(t *testing.T) {
	for _, tc := range []struct {
		streams, partitions int
		offset              int64
		limit               int
	}{
		{1, 1, 1e9, 30},
		{1, 6, 1e9, 64},
		{1, 16, 1e9, 128},
		{1, 6, math.MaxInt64 - 1, 128},
		{3, 3, 1e6, 128},
		{1, 600, 1e9, stream.MaxPosition},
		{100, 3, 1e9, stream.MaxPosition},
	} {
		if n := len(filled(tc.streams, tc.partitions, tc.offset).String()); n > tc.limit {
			t.Errorf("%+v: got %d bytes", tc, n)
		}
	}
	if n := len(stream.Position{}.String()); n > 8 {
		t.Errorf("a position that knows nothing has %d bytes", n)
	}
}

func TestParsePositionRefusesDamage(t *testing.T) {
	for partitions := range 6 { // lengths that base64 ends in each of its ways
		refuseDamage(t, filled(1, 1+partitions, 123456789).String())
	}
	text := filled(2, 6, 123456789).String()
	for _, s := range []string{
		"", "p1", "p1.", "p1.A", "p1.AA", "p2." + text[3:], "P1." + text[3:], text + "A", text + "=", text + " ", " " + text, text + "\n", text[:9] + "\n" + text[9:],
		text + text, strings.ReplaceAll(text, "p1.", ""), "42", "earliest", "2026-01-31T12:00:00Z", "p1.ключ", "p1.\x00\x00\x00\x00",
		filled(2, 600, math.MaxInt64-1).String(), "p1." + strings.Repeat("A", stream.MaxPosition),
	} {
		if _, err := stream.ParsePosition(s); stream.CodeOf(err) != stream.InvalidRequest {
			t.Errorf("%.40q: got %v", s, err)
		}
	}
}

// refuseDamage tries the text cut, and with each character changed.
func refuseDamage(t *testing.T, text string) {
	t.Helper()
	for i := range text {
		if _, err := stream.ParsePosition(text[:i]); stream.CodeOf(err) != stream.InvalidRequest {
			t.Errorf("cut to %d bytes: got %v", i, err)
		}
		for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
			changed := text[:i] + string(c) + text[i+1:]
			if _, err := stream.ParsePosition(changed); changed != text && stream.CodeOf(err) != stream.InvalidRequest {
				t.Errorf("%q at %d: got %v", c, i, err)
			}
		}
	}
}

// sealed is the text form of marks with a right checksum, as only somebody who
// makes them up could send it.
func sealed(marks ...string) string {
	b := []byte(strings.Join(marks, ""))
	sum := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) >> 16
	return "p1." + base64.RawURLEncoding.EncodeToString(append(b, byte(sum>>8), byte(sum)))
}

func TestParsePositionRefusesForgery(t *testing.T) {
	a, b := "\x00\x01\x00\x00\x00\x01", "\x00\x01\x00\x00\x00\x02"
	if _, err := stream.ParsePosition(sealed(a+"\x01\x05", b+"\x02\x05\x00")); err != nil {
		t.Fatalf("a good one: %v", err)
	}
	if _, err := stream.ParsePosition(sealed()); err != nil {
		t.Fatalf("an empty one: %v", err)
	}
	for name, s := range map[string]string{
		"unsorted marks":              sealed(b+"\x01\x05", a+"\x01\x05"),
		"a mark twice":                sealed(a+"\x01\x05", a+"\x01\x05"),
		"half a mark":                 sealed(a[:4]),
		"no number of partitions":     sealed(a),
		"fewer offsets than it says":  sealed(a + "\x02\x05"),
		"many partitions":             sealed(a + "\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x05"),
		"a number beyond 64 bits":     sealed(a + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x05"),
		"an offset beyond 63 bits":    sealed(a + "\x01\x81\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
		"an offset beyond 64 bits":    sealed(a + "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
		"an offset that does not end": sealed(a + "\x01\x80"),
		"an offset in too many bytes": sealed(a + "\x01\x85\x00"),
		"a number in too many bytes":  sealed(a + "\x81\x00\x05"),
	} {
		if _, err := stream.ParsePosition(s); stream.CodeOf(err) != stream.InvalidRequest {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// FuzzParsePosition: what is read is written as it was, and nothing else is
// read. The checksum is put right, so that the fuzzer gets past it.
func FuzzParsePosition(f *testing.F) {
	f.Add([]byte{}, "p1.")
	f.Add([]byte("\x00\x01\x00\x00\x00\x01\x02\x05\x00"), filled(3, 2, 77).String())
	f.Fuzz(func(t *testing.T, marks []byte, text string) {
		for _, s := range []string{sealed(string(marks)), text} {
			p, err := stream.ParsePosition(s)
			if err != nil {
				if stream.CodeOf(err) != stream.InvalidRequest {
					t.Errorf("%q: got %v", s, err)
				}
				continue
			}
			if again := p.String(); again != s {
				t.Errorf("%q is written %q", s, again)
			}
			if again := p.Clone().String(); again != s {
				t.Errorf("the clone of %q is written %q", s, again)
			}
		}
	})
}

// The text of a position is kept by clients, over updates of the gateway.
func TestPositionTextStays(t *testing.T) {
	var p stream.Position
	p.Set(layout("orders.eu", "nQk1xW5bQ0SY3vIGw0Vb6A", 2), 1, 1e9)
	p.Set(layout("users", "JHcvwVLvTZqkrnYQ3Vm_lA", 1), 0, 0)
	if got, want := p.String(), "p1.ZFI8Hg5lAQH6Mo8iV5YCAIGU69wD1es"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func BenchmarkAppendText(b *testing.B) {
	for _, partitions := range []int{1, 6, 600} {
		b.Run(fmt.Sprint(partitions), func(b *testing.B) {
			p, room := filled(1, partitions, 1e9), make([]byte, 0, 8192)
			b.ReportAllocs()
			for b.Loop() {
				room = p.AppendText(room[:0])
			}
		})
	}
}

func BenchmarkSet(b *testing.B) {
	for _, streams := range []int{1, 100} {
		b.Run(fmt.Sprint(streams), func(b *testing.B) {
			p, l := filled(streams, 6, 1e9), layout("stream-0", "topic-0", 6)
			b.ReportAllocs()
			for b.Loop() {
				p.Set(l, 3, 1e9+1)
			}
		})
	}
}
