package kafka

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"sluice/internal/stream"
)

// replicaWatch tells a topic with too few in-sync replicas from one that is
// merely slow. librdkafka retries NOT_ENOUGH_REPLICAS until the record times
// out and then reports the timeout alone; so after a timeout the cluster is
// asked. While every partition of a topic is short, new records for it are
// refused at once instead of waiting for the same end.
type replicaWatch struct {
	cluster *Cluster
	mu      sync.RWMutex
	short   map[string]shortage // topics all of whose partitions are short
	asked   map[string]*answer
}

// shortage is what was found at a time.
type shortage struct {
	message string
	found   time.Time
}

// answer is one question to the cluster, shared by all who ask it meanwhile.
type answer struct {
	done     chan struct{}
	shortage string // "" when replicas are not the reason
}

// shortageFor is how long a found shortage is believed: then a record is let
// through, or the question is asked again.
const shortageFor = time.Second

// lookTimeout bounds the question: who waits for its answer has waited for
// publish_timeout already.
const lookTimeout = 500 * time.Millisecond

func newReplicaWatch(c *Cluster) *replicaWatch {
	return &replicaWatch{cluster: c, short: map[string]shortage{}, asked: map[string]*answer{}}
}

// refuse gives the error for a record to a topic that was found short within
// the last second, nil otherwise. An older finding is renewed in the
// background, and holds until that is done.
func (w *replicaWatch) refuse(topic string) error {
	w.mu.RLock()
	s, short := w.short[topic]
	_, asking := w.asked[topic]
	w.mu.RUnlock()
	if !short {
		return nil
	}
	if !asking && time.Since(s.found) > shortageFor {
		w.cluster.spawn(func() { w.ask(topic) })
	}
	return notEnough(s.message, stream.NotStored)
}

// explain gives the error for a record that timed out: the timeout, or that
// the topic lacks replicas.
func (w *replicaWatch) explain(topic string, timedOut *stream.Error) error {
	if a := w.ask(topic); a.shortage != "" {
		e := notEnough(a.shortage, stream.OutcomeUnclear)
		e.Err = timedOut
		return e
	}
	return timedOut
}

// ask finds out whether the topic is short of replicas; one question at a time
// is asked for a topic.
func (w *replicaWatch) ask(topic string) *answer {
	w.mu.Lock()
	a, asking := w.asked[topic]
	if asking {
		w.mu.Unlock()
		<-a.done
		return a
	}
	a = &answer{done: make(chan struct{})}
	w.asked[topic] = a
	w.mu.Unlock()

	message, all := w.look(topic)
	a.shortage = message
	w.mu.Lock()
	delete(w.asked, topic)
	if all {
		w.short[topic] = shortage{message, time.Now()}
	} else {
		delete(w.short, topic)
	}
	w.mu.Unlock()
	close(a.done)
	return a
}

// look compares the in-sync replicas of a topic's partitions with its
// min.insync.replicas: it describes the first partition that has too few, and
// says whether all have. A cluster that does not answer explains nothing.
func (w *replicaWatch) look(topic string) (message string, all bool) {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	md, err := metadata(ctx, w.cluster.handle, &topic, false)
	if err != nil || len(md.Topics[topic].Partitions) == 0 {
		return "", false
	}
	cfg, err := w.cluster.topicConfig(ctx, topic, true)
	if err != nil {
		return "", false
	}
	need, err := strconv.Atoi(cfg["min.insync.replicas"])
	if err != nil {
		return "", false
	}
	all = true
	for _, p := range md.Topics[topic].Partitions {
		switch {
		case len(p.Isrs) >= min(need, len(p.Replicas)): // Kafka asks for no more than there are
			all = false
		case message == "":
			message = fmt.Sprintf("partition %d has %d in-sync replicas and needs %d (min.insync.replicas); try again when brokers are back", p.ID, len(p.Isrs), min(need, len(p.Replicas)))
		}
	}
	return message, all
}

func notEnough(message string, o stream.Outcome) *stream.Error {
	e := stream.Errorf(stream.NotEnoughReplicas, "%s", message).WithOutcome(o)
	e.RetryAfter = retryUnavailable
	return e
}
