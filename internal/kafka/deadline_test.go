package kafka

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sluice/internal/stream"
)

// clock is deadlines of a minute whose words are noted.
type clock struct {
	*deadlines
	said []string
}

func newClock() *clock {
	c := &clock{}
	c.deadlines = newDeadlines(time.Minute, prometheus.NewGauge(prometheus.GaugeOpts{Name: "late"}),
		func(w *pending) { c.said = append(c.said, w.topic) }, func() { c.said = append(c.said, "crowded") })
	return c
}

func (c *clock) queue(topic string, size int) *pending {
	w := &pending{topic: topic, size: size}
	c.begin(w)
	return w
}

func (c *clock) want(t *testing.T, want ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if diff := cmp.Diff(want, c.said); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
	c.said = nil
}

// pass lets time pass, and what is due then be done.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestDeadlinesTellEachRecordInItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		c.hold(1000, 1<<30)
		a := c.queue("a", 1)
		pass(time.Second)
		b, d := c.queue("b", 1), c.queue("d", 1)
		if !c.reported(b) {
			t.Error("a report that came in time is for nobody")
		}
		pass(59 * time.Second)
		c.want(t, "a")
		if c.reported(a) {
			t.Error("who was told that it is unknown would be told again")
		}
		pass(time.Second)
		c.want(t, "d")
		if n := testutil.ToFloat64(c.gauge); n != 1 {
			t.Errorf("%v are late, want 1", n)
		}
		c.reported(d)
		if n := testutil.ToFloat64(c.gauge); n != 0 || len(c.late) > 0 || c.all.records+c.all.bytes != 0 {
			t.Errorf("%v are late, %v, %v; want none", n, c.late, c.all)
		}
		c.queue("e", 1)
		pass(time.Minute)
		c.want(t, "e")
	})
}

// librdkafka may report a record before the call that queued it has returned.
func TestDeadlinesReportedBeforeItBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		w := &pending{topic: "a"}
		if !c.reported(w) {
			t.Error("the report is for nobody")
		}
		c.begin(w)
		pass(time.Hour)
		c.want(t)
	})
}

func TestDeadlinesRefuseATopicThatIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		c.hold(8*lateMost.records, 8*lateMost.bytes)
		var all []*pending
		for range lateMost.records {
			all = append(all, c.queue("a", 1))
		}
		large := c.queue("large", lateMost.bytes)
		for _, topic := range []string{"a", "large", "other"} {
			if err := c.refuse(topic); err != nil {
				t.Error(err)
			}
		}
		pass(time.Minute)
		for _, topic := range []string{"a", "large"} {
			var e *stream.Error
			if !errors.As(c.refuse(topic), &e) {
				t.Fatalf("more of %s is taken", topic)
			}
			if e.Code != stream.KafkaUnavailable || e.Outcome != stream.NotStored || e.RetryAfter == 0 {
				t.Errorf("got %s, %q, to be tried again after %v", e.Code, e.Outcome, e.RetryAfter)
			}
		}
		if err := c.refuse("other"); err != nil {
			t.Error(err)
		}
		c.reported(all[0])
		c.reported(large)
		for _, topic := range []string{"a", "large"} {
			if err := c.refuse(topic); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestDeadlinesTellWhenOthersHaveLittleRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		c.hold(latePart*3, 1<<30)
		for i := range 2 {
			c.queue(fmt.Sprint(i), 1)
		}
		pass(time.Minute)
		c.want(t, "0", "1")
		c.queue("2", 1)
		pass(time.Minute)
		c.want(t, "2", "crowded")
		c.close()
		c.queue("3", 1)
		pass(time.Minute)
		c.want(t)
		if slices.Contains(c.said, "3") {
			t.Error("told after the end")
		}
	})
}
