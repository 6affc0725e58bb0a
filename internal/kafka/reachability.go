package kafka

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// How often the cluster is asked for a sign of life, how long one may take,
// and how many may fail in a row: librdkafka asks first the broker that it asked
// last, and lets go of one that hangs after socket.timeout.ms, which all probes
// but the last have for their own. Only its word that all connections are down
// counts at once.
const (
	probeInterval     = time.Second
	probeDownInterval = 200 * time.Millisecond
	probeTimeout      = 2 * time.Second
	probeFailures     = 4
)

// reachability knows whether any broker answers. Publishers ask it before
// they queue anything, so that a dead cluster is told at once.
type reachability struct {
	log     *slog.Logger
	metrics *metrics
	down    atomic.Pointer[stream.Error] // nil: a broker answers
	wake    chan struct{}
}

func newReachability(log *slog.Logger, m *metrics) *reachability {
	r := &reachability{log: log, metrics: m, wake: make(chan struct{}, 1)}
	r.down.Store(toError(ckafka.NewError(ckafka.ErrAllBrokersDown, "no broker has answered yet", false)))
	return r
}

func (r *reachability) error() *stream.Error { return r.down.Load() }

// suspect takes librdkafka's word that no broker is connected. The next probe
// may contradict it.
func (r *reachability) suspect() {
	r.markDown(ckafka.NewError(ckafka.ErrAllBrokersDown, "all broker connections are down", false))
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *reachability) markDown(err error) {
	if r.down.CompareAndSwap(nil, toError(unreachable(err))) { // else the reason may be known already
		r.metrics.reachable.Set(0)
		r.log.Error("kafka cannot be reached", slog.Any("error", err))
	}
}

func (r *reachability) markUp() {
	if r.down.Swap(nil) != nil {
		r.metrics.reachable.Set(1)
		r.log.Info("kafka answers")
	}
}

// explain makes a finding the reason why no broker answers, and logs it once.
func (r *reachability) explain(f finding) {
	before := r.down.Load()
	if before == nil {
		return
	}
	var known finding
	if errors.As(before.Err, &known) && known.text == f.text {
		return
	}
	e := *before
	if r.down.CompareAndSwap(before, e.Because(f)) {
		log := r.log
		if f.cause != "" {
			log = log.With(slog.String("error", f.cause))
		}
		log.Error("kafka cannot be used", slog.String("reason", f.text))
	}
}

// probe asks until ctx ends.
func (r *reachability) probe(ctx context.Context, ask func(time.Duration) error) {
	failed := 0
	for ctx.Err() == nil {
		err := ask(probeTimeout)
		switch {
		case err == nil:
			failed = 0
			r.markUp()
		case failed+1 >= probeFailures:
			r.markDown(err)
			fallthrough
		default:
			failed++
		}
		r.pause(ctx)
	}
}

func (r *reachability) pause(ctx context.Context) {
	d := probeInterval
	if r.down.Load() != nil {
		d = probeDownInterval
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-r.wake:
	}
}

// unreachable makes sure that err is one that toError takes for an outage.
func unreachable(err error) error {
	if toError(err).Code == stream.KafkaUnavailable {
		return err
	}
	e := ckafka.NewError(ckafka.ErrTransport, err.Error(), false)
	return errors.Join(e, err)
}
