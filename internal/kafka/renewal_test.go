package kafka_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"sluice/internal/kafkatest"
)

// A topic that is made anew has the producer replaced; those who publish at
// that moment do not notice.
func TestProducerIsRenewedUnderItsPublishers(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		topic := b.Topic(t, "busy", 1, nil)
		g.store(t, message(topic, "", "first"))
		var (
			done       atomic.Bool
			publishers sync.WaitGroup
		)
		for range 8 {
			publishers.Go(func() {
				for !done.Load() {
					if r := await(t, g.send(message(topic, "", "v"))); r.err != nil {
						t.Errorf("refused: %v", r.err)
						return
					}
				}
			})
		}
		for range 20 {
			if err := g.Made(t.Context(), topic); err != nil {
				t.Error(err)
			}
		}
		done.Store(true)
		publishers.Wait()
	})
}
