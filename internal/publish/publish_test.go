package publish_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sluice/internal/publish"
	"sluice/internal/stream"
)

// parts is what a publisher works with; the zero value takes everything.
type parts struct {
	resolve  func(*stream.Outgoing) (stream.Target, error)
	revive   func(*stream.Outgoing) (stream.Target, error)
	validate func(stream.SchemaRef, []byte) error
	send     func(*stream.Message, func(stream.Report, error)) error
	metrics  *prometheus.Registry
}

var target = stream.Target{Topic: "t.orders", Schema: stream.SchemaRef{Name: "Order", Version: 1}, Envelope: true}

func (p *parts) Resolve(_ context.Context, rec *stream.Outgoing) (stream.Target, error) {
	if p.resolve == nil {
		return target, nil
	}
	return p.resolve(rec)
}

func (p *parts) Revive(_ context.Context, rec *stream.Outgoing) (stream.Target, error) {
	if p.revive == nil {
		return stream.Target{}, errors.New("revived for no reason")
	}
	return p.revive(rec)
}

func (p *parts) Validate(_ context.Context, ref stream.SchemaRef, data []byte) error {
	if p.validate == nil {
		return nil
	}
	return p.validate(ref, data)
}

func (p *parts) Send(m *stream.Message, delivered func(stream.Report, error)) error {
	if p.send == nil {
		delivered(stream.Report{Partition: 1, Offset: 2}, nil)
		return nil
	}
	return p.send(m, delivered)
}

func (p *parts) publisher(t testing.TB) *publish.Publisher {
	t.Helper()
	p.metrics = prometheus.NewRegistry()
	return publish.New(publish.Options{
		Catalog: p, Schemas: p, Producer: p, Timeout: time.Second,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Registerer: p.metrics,
	})
}

// counted fails the test unless the counter of the code has that value.
func (p *parts) counted(t testing.TB, want map[string]int) {
	t.Helper()
	families, err := p.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if v := int(m.GetCounter().GetValue()); v > 0 && f.GetName() == "sluice_publish_records_total" {
				got[m.GetLabel()[0].GetValue()] = v
			}
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("records counted (-want +got):\n%s", d)
	}
}

func record() *stream.Outgoing {
	return &stream.Outgoing{Stream: "orders", Partition: stream.AnyPartition, Key: []byte("k"), Data: []byte(`{"id":1}`)}
}

func failing(code stream.Code, o stream.Outcome) error {
	return stream.Errorf(code, "as the test wants it").WithOutcome(o)
}

func wantError(t testing.TB, err error, code stream.Code, o stream.Outcome) {
	t.Helper()
	var e *stream.Error
	if !errors.As(err, &e) || e.Code != code || e.Outcome != o {
		t.Errorf("got %v (%+v), want %s, %s", err, e, code, o)
	}
}

// both runs a test for Publish and for Enqueue, which say the same of a record.
func both(t *testing.T, f func(t *testing.T, do func(*publish.Publisher, *stream.Outgoing) (stream.Report, error))) {
	t.Run("publish", func(t *testing.T) {
		f(t, func(p *publish.Publisher, rec *stream.Outgoing) (stream.Report, error) {
			return p.Publish(t.Context(), rec)
		})
	})
	t.Run("enqueue", func(t *testing.T) {
		f(t, func(p *publish.Publisher, rec *stream.Outgoing) (r stream.Report, err error) {
			done := make(chan struct{})
			if err := p.Enqueue(t.Context(), rec, func(got stream.Report, failed error) {
				r, err = got, failed
				close(done)
			}); err != nil {
				return r, err
			}
			<-done
			return r, err
		})
	})
}

func TestStoredForm(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	headers := []stream.Header{{Name: "a", Value: []byte("1")}}
	for _, tc := range []struct {
		name   string
		target stream.Target
		rec    stream.Outgoing
		want   stream.Message
		schema string
		bytes  int
	}{
		{
			"in an envelope", target,
			stream.Outgoing{Partition: 3, Key: []byte("k"), Headers: headers, Timestamp: at, Data: []byte(` {"id": 1} `)},
			stream.Message{Topic: "t.orders", Partition: 3, Key: []byte("k"), Headers: headers, Timestamp: at, Value: []byte(`{"schema":"Order:1","data": {"id": 1} }`)},
			"Order:1", 39,
		},
		{
			"without one",
			stream.Target{Topic: "t", Schema: target.Schema},
			stream.Outgoing{Partition: stream.AnyPartition, Headers: headers, Data: []byte(`1`)},
			stream.Message{Topic: "t", Partition: stream.AnyPartition, Value: []byte(`1`), Headers: []stream.Header{headers[0], {Name: stream.SchemaHeader, Value: []byte("Order:1")}}},
			"Order:1", 1,
		},
		{
			"a tombstone",
			stream.Target{Topic: "t", Envelope: true},
			stream.Outgoing{Key: []byte("k"), Tombstone: true, Data: []byte(`ignored`)},
			stream.Message{Topic: "t", Key: []byte("k")},
			"", 0,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			both(t, func(t *testing.T, do func(*publish.Publisher, *stream.Outgoing) (stream.Report, error)) {
				var sent stream.Message
				p := &parts{
					resolve: func(*stream.Outgoing) (stream.Target, error) { return tc.target, nil },
					send: func(m *stream.Message, delivered func(stream.Report, error)) error {
						sent = *m
						sent.Value = append([]byte(nil), m.Value...)
						delivered(stream.Report{Partition: 1, Offset: 2, Timestamp: at}, nil)
						return nil
					},
				}
				if tc.rec.Tombstone {
					p.validate = func(stream.SchemaRef, []byte) error { return errors.New("a tombstone has no data") }
				}
				rec := tc.rec
				report, err := do(p.publisher(t), &rec)
				if err != nil {
					t.Fatal(err)
				}
				want := tc.want
				want.Waited = strings.HasSuffix(t.Name(), "/publish")
				if d := cmp.Diff(want, sent); d != "" {
					t.Errorf("sent (-want +got):\n%s", d)
				}
				if d := cmp.Diff(stream.Report{Partition: 1, Offset: 2, Timestamp: at, Schema: tc.schema}, report); d != "" {
					t.Errorf("reported (-want +got):\n%s", d)
				}
				p.counted(t, map[string]int{"stored": 1})
				metric := fmt.Sprintf("# HELP sluice_publish_bytes_total Bytes of the values that were stored.\n# TYPE sluice_publish_bytes_total counter\nsluice_publish_bytes_total %d\n", tc.bytes)
				if err := testutil.GatherAndCompare(p.metrics, strings.NewReader(metric), "sluice_publish_bytes_total"); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestFailuresTellTheOutcome(t *testing.T) {
	plain := errors.New("something else")
	resolve := func(err error) *parts {
		return &parts{resolve: func(*stream.Outgoing) (stream.Target, error) { return stream.Target{}, err }}
	}
	validate := func(err error) *parts {
		return &parts{validate: func(stream.SchemaRef, []byte) error { return err }}
	}
	send := func(err error) *parts {
		return &parts{send: func(*stream.Message, func(stream.Report, error)) error { return err }}
	}
	deliver := func(err error) *parts {
		return &parts{send: func(_ *stream.Message, delivered func(stream.Report, error)) error {
			delivered(stream.Report{}, err)
			return nil
		}}
	}
	revive := func(err error) *parts {
		p := send(failing(stream.UnknownStream, stream.NotStored))
		p.revive = func(*stream.Outgoing) (stream.Target, error) { return stream.Target{}, err }
		return p
	}
	for _, tc := range []struct {
		name    string
		parts   *parts
		code    stream.Code
		outcome stream.Outcome
	}{
		{"no stream", resolve(failing(stream.UnknownStream, "")), stream.UnknownStream, stream.NotStored},
		{"no stream, for sure", resolve(failing(stream.UnknownStream, stream.NotStored)), stream.UnknownStream, stream.NotStored},
		// Whatever became of the stream: the record was not sent.
		{"Kafka is away", resolve(failing(stream.KafkaUnavailable, stream.OutcomeUnclear)), stream.KafkaUnavailable, stream.NotStored},
		{"the stream may be made", resolve(failing(stream.OutcomeUnknown, stream.OutcomeUnclear)), stream.KafkaUnavailable, stream.NotStored},
		{"a fault of the catalog's", resolve(plain), stream.Internal, stream.NotStored},
		{"bad data", validate(failing(stream.SchemaViolation, "")), stream.SchemaViolation, stream.NotStored},
		{"the queue refuses", send(failing(stream.TooLarge, stream.NotStored)), stream.TooLarge, stream.NotStored},
		{"the broker refuses", deliver(failing(stream.TooLarge, stream.NotStored)), stream.TooLarge, stream.NotStored},
		{"no answer", deliver(failing(stream.OutcomeUnknown, stream.OutcomeUnclear)), stream.OutcomeUnknown, stream.OutcomeUnclear},
		{"a fault of the producer's", deliver(plain), stream.Internal, stream.OutcomeUnclear},
		{"not revived", revive(failing(stream.UnknownStream, "")), stream.UnknownStream, stream.NotStored},
		{"revived in doubt", revive(failing(stream.OutcomeUnknown, stream.OutcomeUnclear)), stream.KafkaUnavailable, stream.NotStored},
	} {
		t.Run(tc.name, func(t *testing.T) {
			both(t, func(t *testing.T, do func(*publish.Publisher, *stream.Outgoing) (stream.Report, error)) {
				_, err := do(tc.parts.publisher(t), record())
				wantError(t, err, tc.code, tc.outcome)
				tc.parts.counted(t, map[string]int{string(tc.code): 1})
			})
		})
	}
}

// The request ends while Kafka is silent. The report that comes late is nobody
// else's.
func TestPublishWhenTheRequestEnds(t *testing.T) {
	var late []func(stream.Report, error)
	p := &parts{send: func(_ *stream.Message, delivered func(stream.Report, error)) error {
		late = append(late, delivered)
		return nil
	}}
	pub := p.publisher(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the client went away")
	cancel(gone)
	_, err := pub.Publish(ctx, record())
	wantError(t, err, stream.OutcomeUnknown, stream.OutcomeUnclear)
	if !errors.Is(err, gone) {
		t.Errorf("got %v, which does not say why", err)
	}
	p.send = func(_ *stream.Message, delivered func(stream.Report, error)) error {
		late[0](stream.Report{Offset: 1}, nil) // of the first record
		delivered(stream.Report{Offset: 2}, nil)
		return nil
	}
	report, err := pub.Publish(t.Context(), record())
	if report.Offset != 2 || err != nil {
		t.Errorf("got offset %d, %v", report.Offset, err)
	}
}

func TestEnqueueWaitsWhileOverloaded(t *testing.T) {
	full := failing(stream.Overloaded, stream.NotStored)
	for _, tc := range []struct {
		name   string
		room   time.Duration // until the queue has room
		gone   time.Duration // until the request ends
		want   error
		waited time.Duration
	}{
		{"room in time", 500 * time.Millisecond, time.Hour, nil, 500 * time.Millisecond},
		{"no room in time", time.Hour, time.Hour, full, time.Second},
		{"the request ends", time.Hour, 100 * time.Millisecond, full, 100 * time.Millisecond},
		{"another error then", 500 * time.Millisecond, time.Hour, failing(stream.TooLarge, stream.NotStored), 500 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				p := &parts{send: func(_ *stream.Message, delivered func(stream.Report, error)) error {
					if time.Since(start) < tc.room {
						return full
					}
					if tc.want != nil {
						return tc.want
					}
					go delivered(stream.Report{}, nil)
					return nil
				}}
				ctx, cancel := context.WithTimeout(t.Context(), tc.gone)
				defer cancel()
				stored := false
				err := p.publisher(t).Enqueue(ctx, record(), func(_ stream.Report, err error) { stored = err == nil })
				waited := time.Since(start)
				synctest.Wait()
				if stream.CodeOf(err) != stream.CodeOf(tc.want) || stored != (tc.want == nil) {
					t.Errorf("got %v, stored %v", err, stored)
				}
				if waited < tc.waited || waited > tc.waited+5*time.Millisecond {
					t.Errorf("waited %v, want %v", waited, tc.waited)
				}
			})
		})
	}
}

// A full queue is told at once to who publishes one record.
func TestPublishDoesNotWaitWhileOverloaded(t *testing.T) {
	sent := 0
	p := &parts{send: func(*stream.Message, func(stream.Report, error)) error {
		sent++
		return failing(stream.Overloaded, stream.NotStored)
	}}
	_, err := p.publisher(t).Publish(t.Context(), record())
	wantError(t, err, stream.Overloaded, stream.NotStored)
	if sent != 1 {
		t.Errorf("sent %d times", sent)
	}
}

func TestUnknownStreamIsRevivedOnce(t *testing.T) {
	unknown := failing(stream.UnknownStream, stream.NotStored)
	answers := map[string]func(delivered func(stream.Report, error)) error{
		"at once": func(func(stream.Report, error)) error { return unknown },
		"later": func(delivered func(stream.Report, error)) error {
			go delivered(stream.Report{}, unknown)
			return nil
		},
	}
	for first, answer := range answers {
		for second, again := range map[string]func(func(stream.Report, error)) error{
			"then stored": func(delivered func(stream.Report, error)) error {
				go delivered(stream.Report{Offset: 7}, nil)
				return nil
			},
			"then again": answer,
		} {
			t.Run(first+", "+second, func(t *testing.T) {
				both(t, func(t *testing.T, do func(*publish.Publisher, *stream.Outgoing) (stream.Report, error)) {
					var topics []string
					revived := 0
					p := &parts{
						revive: func(*stream.Outgoing) (stream.Target, error) {
							revived++
							return stream.Target{Topic: "revived", Schema: target.Schema, Envelope: true}, nil
						},
						send: func(m *stream.Message, delivered func(stream.Report, error)) error {
							topics = append(topics, m.Topic)
							if len(topics) == 1 {
								return answer(delivered)
							}
							return again(delivered)
						},
					}
					report, err := do(p.publisher(t), record())
					if second == "then stored" && (report.Offset != 7 || err != nil) {
						t.Errorf("got %+v, %v", report, err)
					}
					if second == "then again" {
						wantError(t, err, stream.UnknownStream, stream.NotStored)
					}
					if d := cmp.Diff([]string{"t.orders", "revived"}, topics); d != "" || revived != 1 {
						t.Errorf("revived %d times, sent to: %s", revived, d)
					}
				})
			})
		}
	}
}

// Many at once, half of them without an envelope: what the producer gets is
// each record's own, and the caller's headers stay as they are, also when
// several records share them.
func TestNothingIsSharedBetweenRecords(t *testing.T) {
	p := &parts{
		resolve: func(rec *stream.Outgoing) (stream.Target, error) {
			return stream.Target{Topic: "t", Schema: target.Schema, Envelope: string(rec.Key) == "e"}, nil
		},
		send: func(m *stream.Message, delivered func(stream.Report, error)) error {
			value, headers := string(m.Value), len(m.Headers) // as the producer does, it copies before it returns
			want := string(m.Headers[0].Value)
			if string(m.Key) == "e" {
				want = `{"schema":"Order:1","data":` + want + `}`
			}
			if value != want || headers != map[string]int{"e": 1, "p": 2}[string(m.Key)] {
				t.Errorf("got %s with %d headers, want %s", value, headers, want)
			}
			go delivered(stream.Report{}, nil)
			return nil
		},
	}
	pub := p.publisher(t)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			data := fmt.Appendf(nil, `"%s%d"`, strings.Repeat("x", i*10), i)
			headers := make([]stream.Header, 1, 8) // there is room behind
			headers[0] = stream.Header{Name: "data", Value: data}
			for _, key := range []string{"e", "p", "e", "p"} {
				rec := &stream.Outgoing{Stream: "s", Key: []byte(key), Headers: headers, Data: data}
				if _, err := pub.Publish(context.Background(), rec); err != nil {
					t.Error(err)
				}
				if len(rec.Headers) != 1 || headers[:2][1].Name != "" {
					t.Errorf("the caller's headers are %v now", headers[:2])
				}
			}
		})
	}
	all.Wait()
}

// sender is a producer of a caller's own.
type sender func(*stream.Message, func(stream.Report, error)) error

func (f sender) Send(m *stream.Message, delivered func(stream.Report, error)) error {
	return f(m, delivered)
}

// What a caller publishes who has a producer is handed to that one alone, also
// when the stream has to be made anew first.
func TestCallersOwnProducer(t *testing.T) {
	p := &parts{
		send:   func(*stream.Message, func(stream.Report, error)) error { return errors.New("sent as the gateway") },
		revive: func(*stream.Outgoing) (stream.Target, error) { return target, nil },
	}
	sent := 0
	own := sender(func(m *stream.Message, delivered func(stream.Report, error)) error {
		if sent++; sent == 1 {
			return failing(stream.UnknownStream, stream.NotStored)
		}
		delivered(stream.Report{Partition: 3}, nil)
		return nil
	})
	ctx := stream.WithCaller(t.Context(), &stream.Caller{Sender: own})
	publisher := p.publisher(t)
	report, err := publisher.Publish(ctx, record())
	if err != nil || report.Partition != 3 || sent != 2 {
		t.Errorf("got %+v, %v, after %d", report, err, sent)
	}
	reported := make(chan error, 1)
	if err := publisher.Enqueue(ctx, record(), func(_ stream.Report, err error) { reported <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-reported; err != nil || sent != 3 {
		t.Errorf("got %v, after %d", err, sent)
	}
	ctx = stream.WithCaller(t.Context(), &stream.Caller{})
	if _, err := publisher.Publish(ctx, record()); err == nil {
		t.Error("a caller without a producer has one")
	}
}
