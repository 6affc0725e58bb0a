package kafka_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

func spanOf(id string, number int32, from, to int64) stream.Span {
	return stream.Span{Partition: part(id, number), From: from, To: to}
}

var wide = stream.PageLimit{Records: 10000, Bytes: 1 << 20}

// read reads a page, and fails the test if that takes long.
func (l *library) read(limit stream.PageLimit, spans ...stream.Span) stream.Page {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	p, err := l.Read(ctx, spans, limit)
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

// readAll reads page after page until nothing is left, and sorts by partition.
func (l *library) readAll(limit stream.PageLimit, spans ...stream.Span) (all stream.Page, pages int) {
	l.t.Helper()
	for ; slices.ContainsFunc(spans, func(s stream.Span) bool { return s.From < s.To }); pages++ {
		p := l.read(limit, spans...)
		if len(p.Records) > limit.Records {
			l.t.Fatalf("%d records, the limit is %d", len(p.Records), limit.Records)
		}
		all.Records, all.Gaps, spans = append(all.Records, p.Records...), append(all.Gaps, p.Gaps...), p.Left
	}
	slices.SortStableFunc(all.Records, func(a, b stream.Record) int {
		return strings.Compare(fmt.Sprint(a.Stream, a.Partition), fmt.Sprint(b.Stream, b.Partition))
	})
	all.Left = spans
	return all, pages
}

func TestReadDecodes(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		l := newLibrary(t, b, 0)
		topic := b.Topic(t, "read", 2, nil)
		at := time.UnixMilli(1_700_000_000_123).UTC()
		b.Produce(t,
			&kgo.Record{Topic: topic, Partition: 1, Value: []byte(`{"schema":"S:1","data":{"a":1}}`), Key: []byte("k"), Timestamp: at},
			&kgo.Record{Topic: topic, Partition: 1, Value: []byte{0, 0, 0, 0, 7, 0xff}, Headers: []kgo.RecordHeader{{Key: "x"}}, Timestamp: at},
			&kgo.Record{Topic: topic, Partition: 1, Key: []byte{0xff}, Timestamp: at},
			&kgo.Record{Topic: topic, Partition: 1, Value: []byte{}, Timestamp: at},
		)
		want := stream.Page{
			Records: []stream.Record{
				{Offset: 0, Schema: "S:1", Key: []byte("k"), Data: []byte(`{"a":1}`), Value: []byte(`{"schema":"S:1","data":{"a":1}}`)},
				{Offset: 1, Value: []byte{0, 0, 0, 0, 7, 0xff}, Headers: []stream.Header{{Name: "x"}}},
				{Offset: 2, Key: []byte{0xff}},
				{Offset: 3, Value: []byte{}},
			},
			Left: []stream.Span{spanOf("read", 0, 0, 0), spanOf("read", 1, 4, 4)},
		}
		for i := range want.Records {
			want.Records[i].Stream, want.Records[i].Partition, want.Records[i].Timestamp = "read", 1, at
		}
		equal(t, "page", want, l.read(wide, spanOf("read", 0, 0, 0), spanOf("read", 1, 0, 4)))
		equal(t, "nothing to read", stream.Page{Left: []stream.Span{spanOf("nowhere", 0, 7, 7)}}, l.read(wide, spanOf("nowhere", 0, 7, 7)))
	})
}

// Pages of any limit, over several partitions, through one consumer or
// several, give each record once.
func TestReadByPages(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		topic := b.Topic(t, "read", 3, nil)
		for _, consumers := range []int{1, 3} {
			l := newLibrary(t, b, consumers)
			if consumers == 1 {
				for p := range int32(3) {
					l.put(topic, p, numbers(0, 100)...)
				}
			}
			var want []string
			for p := range 3 {
				for i := range 90 {
					want = append(want, fmt.Sprintf("read/%d:%d=v%d", p, i+5, i+5))
				}
			}
			spans := []stream.Span{spanOf("read", 0, 5, 95), spanOf("read", 1, 5, 95), spanOf("read", 2, 5, 95)}
			left := []stream.Span{spanOf("read", 0, 95, 95), spanOf("read", 1, 95, 95), spanOf("read", 2, 95, 95)}
			var readers sync.WaitGroup
			for _, limit := range []stream.PageLimit{{Records: 7, Bytes: 1 << 20}, {Records: 1000, Bytes: 40}, {Records: 1000, Bytes: 1}, wide} {
				readers.Go(func() {
					all, pages := l.readAll(limit, spans...)
					if d := cmp.Diff(want, short(all.Records)); d != "" {
						t.Errorf("%v: %s", limit, d)
					}
					if d := cmp.Diff(left, all.Left); d != "" || all.Gaps != nil {
						t.Errorf("%v: %s, gaps %v", limit, d, all.Gaps)
					}
					if least := map[int]int{7: 39, 1000: 20, 10000: 1}[limit.Records]; pages < least {
						t.Errorf("%v: %d pages", limit, pages)
					}
				})
			}
			readers.Wait()
		}
	})
}

// A page has a record whatever its size; one that would exceed the limit is the
// next page's first.
func TestReadBigRecords(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		l := newLibrary(t, b, 0)
		topic := b.Topic(t, "read", 1, nil)
		big := strings.Repeat("x", 900<<10)
		l.put(topic, 0, "a", big, "b", "c")
		limit := stream.PageLimit{Records: 100, Bytes: 1000}
		span := spanOf("read", 0, 0, 4)
		for i, want := range [][]int{{1}, {len(big)}, {1, 1}} {
			p := l.read(limit, span)
			var got []int
			for _, r := range p.Records {
				got = append(got, len(r.Value))
			}
			equal(t, fmt.Sprint("page ", i), want, got)
			span = p.Left[0]
		}
		equal(t, "left", spanOf("read", 0, 4, 4), span)
	})
}

// What was aborted is not read, and spans end behind markers and holes, or
// before them, without a wait.
func TestReadTransactionsAndHoles(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		l := newLibrary(t, b, 0)
		topic := b.Topic(t, "tx", 1, nil)
		l.transact(topic, kgo.TryAbort, "aborted")    // 0, its marker 1
		l.transact(topic, kgo.TryCommit, "committed") // 2, its marker 3
		l.put(topic, 0, "plain")                      // 4
		l.transact(topic, kgo.TryAbort, "a", "b")     // 5, 6, its marker 7
		open := l.transaction(topic, "open")          // 8
		defer func() { _ = open.EndTransaction(context.Background(), kgo.TryAbort) }()

		end := l.bounds(part("tx", 0))[0].End
		equal(t, "last stable offset", int64(8), end)
		started := time.Now()
		for _, c := range []struct {
			from, to int64
			want     []string
		}{
			{0, 8, []string{"tx/0:2=committed", "tx/0:4=plain"}},
			{0, 2, nil},
			{3, 4, nil},
			{3, 5, []string{"tx/0:4=plain"}},
			{5, 8, nil},
			{7, 8, nil},
		} {
			p := l.read(wide, spanOf("tx", 0, c.from, c.to))
			equal(t, fmt.Sprint(c.from, c.to), stream.Page{Left: []stream.Span{spanOf("tx", 0, c.to, c.to)}}, stream.Page{Gaps: p.Gaps, Left: p.Left})
			equal(t, fmt.Sprint(c.from, c.to), c.want, short(p.Records))
		}
		t.Logf("it took %v", time.Since(started))
	})
}

func TestReadCompacted(t *testing.T) {
	t.Parallel()
	b := kafkatest.Embedded(t)
	l := newLibrary(t, b, 0)
	topic := b.Topic(t, "compact", 1, map[string]string{"cleanup.policy": "compact"})
	for i, key := range []string{"a", "a", "b", "b", "a", "c", "c"} {
		b.Produce(t, &kgo.Record{Topic: topic, Key: []byte(key), Value: fmt.Append(nil, "v", i)})
	}
	b.Cluster(t).Compact()
	begin := l.bounds(part("compact", 0))[0].Begin
	p := l.read(wide, spanOf("compact", 0, begin, 6))
	equal(t, "records", []string{"compact/0:3=v3", "compact/0:4=v4", "compact/0:5=v5"}, short(p.Records))
	equal(t, "left", []stream.Span{spanOf("compact", 0, 6, 6)}, p.Left)
}

// What is gone before it was read is a gap, whether that is known when reading
// begins or meets it between two pages.
func TestReadGaps(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		l := newLibrary(t, b, 1)
		topic := b.Topic(t, "gaps", 2, nil)
		l.put(topic, 0, numbers(0, 20)...)
		l.put(topic, 1, "other")
		l.deleteBefore(topic, 0, 10)
		gap := func(from, to int64) []stream.Gap {
			return []stream.Gap{{Partition: part("gaps", 0), From: from, To: to}}
		}
		for name, c := range map[string]struct {
			span, left stream.Span
			gaps       []stream.Gap
			records    int
		}{
			"begins in the gap":     {spanOf("gaps", 0, 2, 12), spanOf("gaps", 0, 12, 12), gap(2, 10), 2},
			"is all gone":           {spanOf("gaps", 0, 2, 8), spanOf("gaps", 0, 10, 10), gap(2, 10), 0},
			"ends where it begins":  {spanOf("gaps", 0, 2, 10), spanOf("gaps", 0, 10, 10), gap(2, 10), 0},
			"begins beyond the end": {spanOf("gaps", 0, 30, 35), spanOf("gaps", 0, 20, 20), gap(30, 20), 0},
			"ends beyond the end":   {spanOf("gaps", 0, 18, 35), spanOf("gaps", 0, 20, 20), nil, 2},
			"lies beyond the end":   {spanOf("gaps", 0, 20, 35), spanOf("gaps", 0, 20, 20), nil, 0},
		} {
			p := l.read(wide, c.span, spanOf("gaps", 1, 0, 1))
			equal(t, name, stream.Page{Gaps: c.gaps, Left: []stream.Span{c.left, spanOf("gaps", 1, 1, 1)}}, stream.Page{Gaps: p.Gaps, Left: p.Left})
			equal(t, name, c.records+1, len(p.Records))
		}
	})
}

func TestReadWhatGoesMeanwhile(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		l := newLibrary(t, b, 1)
		topic := b.Topic(t, "goes", 1, nil)
		// More than the consumer fetches ahead.
		for range 14 {
			l.put(topic, 0, strings.Repeat("x", 900<<10))
		}
		p := l.read(stream.PageLimit{Records: 1, Bytes: 1}, spanOf("goes", 0, 0, 14))
		l.deleteBefore(topic, 0, 13)
		all, _ := l.readAll(wide, p.Left...)
		if len(all.Gaps) != 1 || all.Gaps[0].To != 13 {
			t.Fatalf("got the gaps %v", all.Gaps)
		}
		next := int64(1)
		for _, r := range all.Records {
			if next == all.Gaps[0].From {
				next = all.Gaps[0].To
			}
			if r.Offset != next {
				t.Errorf("got offset %d, want %d", r.Offset, next)
			}
			next++
		}
		equal(t, "left", []stream.Span{spanOf("goes", 0, 14, 14)}, all.Left)

		l.remove("goes")
		_, err := l.Read(t.Context(), []stream.Span{spanOf("goes", 0, 12, 13)}, wide)
		if e := wantCode(t, err, stream.UnknownStream); e.Message != "the stream goes does not exist" {
			t.Errorf("got %q", e.Message)
		}
		l.create("goes", 1)
		l.put(topic, 0, "new")
		p = l.read(wide, spanOf("goes", 0, 12, 13))
		equal(t, "made again", []stream.Gap{{Partition: part("goes", 0), From: 12, To: 1}}, p.Gaps)
		equal(t, "its beginning", []string{"goes/0:0=new"}, short(l.read(wide, spanOf("goes", 0, 0, 1)).Records))
		_, err = l.Read(t.Context(), []stream.Span{spanOf("goes", 3, 0, 1)}, wide)
		wantCode(t, err, stream.InvalidRequest)
	})
}

// A consumer that rests between pages loses nothing, also after it gave up what
// it had fetched.
func TestReadAfterRest(t *testing.T) {
	t.Parallel()
	b := kafkatest.Embedded(t)
	l := newLibrary(t, b, 1)
	topic := b.Topic(t, "rest", 1, nil)
	l.put(topic, 0, numbers(0, 50)...)
	l.transact(topic, kgo.TryAbort, "aborted") // 50, 51
	left := []stream.Span{spanOf("rest", 0, 0, 52)}
	var got []stream.Record
	for _, rest := range []time.Duration{0, 700 * time.Millisecond, 2500 * time.Millisecond, 0} {
		<-time.After(rest) // what happens meanwhile is that nothing does
		p := l.read(stream.PageLimit{Records: 17, Bytes: 1 << 20}, left...)
		got, left = append(got, p.Records...), p.Left
		if left[0].From == left[0].To {
			break
		}
	}
	if len(got) != 50 || left[0].From != 52 {
		t.Errorf("got %d records, left %v", len(got), left)
	}
	for i, r := range got {
		if r.Offset != int64(i) {
			t.Fatalf("record %d has offset %d", i, r.Offset)
		}
	}
}

// Whoever does not wait any longer is answered at once, and the consumer is
// good for the next.
func TestReadIsCancelled(t *testing.T) {
	t.Parallel()
	b := kafkatest.Embedded(t)
	l := newLibrary(t, b, 1)
	topic := b.Topic(t, "cancel", 1, nil)
	l.put(topic, 0, numbers(0, 10)...)
	for _, key := range []kmsg.Key{kmsg.Fetch, kmsg.ListOffsets} {
		reached, release := hold(t, b, key)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-reached
			cancel()
		}()
		started := time.Now()
		_, err := l.Read(ctx, []stream.Span{spanOf("cancel", 0, 5, 10)}, wide)
		wantCode(t, err, stream.KafkaUnavailable)
		t.Logf("it took %v", time.Since(started))
		release() // not before: nothing had come from the broker
		equal(t, "records", 10, len(l.read(wide, spanOf("cancel", 0, 0, 10)).Records))
	}
}
