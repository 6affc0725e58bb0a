package publish_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/stream"
)

// Records that were queued for a stream whose topic is gone are stored in the
// order in which they came, with those that come meanwhile.
func TestRecordsSentAgainKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const before, after = 50, 50
		var mu sync.Mutex
		var failed []func(stream.Report, error)
		var stored []string
		revived := make(chan struct{})
		p := &parts{
			resolve: func(*stream.Outgoing) (stream.Target, error) { return stream.Target{Topic: "old"}, nil },
			revive: func(*stream.Outgoing) (stream.Target, error) {
				<-revived
				return stream.Target{Topic: "new"}, nil
			},
		}
		p.send = func(m *stream.Message, delivered func(stream.Report, error)) error {
			mu.Lock()
			defer mu.Unlock()
			if m.Topic == "old" {
				failed = append(failed, delivered)
				return nil
			}
			stored = append(stored, string(m.Value))
			go delivered(stream.Report{}, nil)
			return nil
		}
		pub := p.publisher(t)
		var done sync.WaitGroup
		var want []string
		enqueue := func(n int) {
			for range n {
				rec := record()
				rec.Data = fmt.Appendf(nil, "%d", len(want))
				want = append(want, string(rec.Data))
				done.Add(1)
				if err := pub.Enqueue(t.Context(), rec, func(_ stream.Report, err error) {
					if err != nil {
						t.Error(err)
					}
					done.Done()
				}); err != nil {
					t.Fatal(err)
				}
			}
		}
		enqueue(before)
		for _, delivered := range failed {
			delivered(stream.Report{}, failing(stream.UnknownStream, stream.NotStored))
		}
		synctest.Wait()
		enqueue(after)
		close(revived)
		done.Wait()
		if d := cmp.Diff(want, stored); d != "" {
			t.Error(d)
		}
		p.counted(t, map[string]int{"stored": before + after})
	})
}

// For a stream that is gone for good the slow question is asked once, but for
// records that may make it anew.
func TestRecordsOfAStreamThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed []func(stream.Report, error)
		revived := 0
		p := &parts{
			revive: func(*stream.Outgoing) (stream.Target, error) {
				revived++
				return stream.Target{}, failing(stream.UnknownStream, "")
			},
			send: func(_ *stream.Message, delivered func(stream.Report, error)) error {
				failed = append(failed, delivered)
				return nil
			},
		}
		pub := p.publisher(t)
		told := 0
		for i := range 10 {
			rec := record()
			if i == 8 {
				rec.Schema = target.Schema
			}
			if err := pub.Enqueue(t.Context(), rec, func(_ stream.Report, err error) {
				told++
				wantError(t, err, stream.UnknownStream, stream.NotStored)
			}); err != nil {
				t.Fatal(err)
			}
		}
		block := make(chan struct{})
		slow := p.revive
		p.revive = func(rec *stream.Outgoing) (stream.Target, error) {
			<-block
			return slow(rec)
		}
		for _, delivered := range failed {
			delivered(stream.Report{}, failing(stream.UnknownStream, stream.NotStored))
		}
		close(block)
		synctest.Wait()
		if told != 10 || revived < 2 || revived > 3 { // the first may be taken before the others are there
			t.Errorf("%d were told, %d revivals", told, revived)
		}
		p.counted(t, map[string]int{"unknown-stream": 10})
	})
}

// Too many records behind one stream's are refused rather than kept.
func TestRecordsWaitingAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		revived := make(chan struct{})
		p := &parts{
			revive: func(*stream.Outgoing) (stream.Target, error) {
				<-revived
				return target, nil
			},
			send: func(_ *stream.Message, delivered func(stream.Report, error)) error {
				go delivered(stream.Report{}, failing(stream.UnknownStream, stream.NotStored))
				return nil
			},
		}
		pub := p.publisher(t)
		enqueue := func() error { return pub.Enqueue(t.Context(), record(), func(stream.Report, error) {}) }
		if err := enqueue(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for range 10_000 {
			if err := enqueue(); err != nil {
				t.Fatal(err)
			}
		}
		wantError(t, enqueue(), stream.Overloaded, stream.NotStored)
		p.send = func(_ *stream.Message, delivered func(stream.Report, error)) error {
			delivered(stream.Report{}, nil)
			return nil
		}
		close(revived)
		synctest.Wait()
		p.counted(t, map[string]int{"stored": 10_001, "overloaded": 1})
	})
}
