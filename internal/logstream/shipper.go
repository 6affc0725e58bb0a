package logstream

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/stream"
)

// maxQueueBytes bounds what waits, beside the number of records.
const maxQueueBytes = 16 << 20

// Publisher checks a record and queues it, and tells done later, once, what
// became of it. It is package publish's.
type Publisher interface {
	Enqueue(ctx context.Context, rec *stream.Outgoing, done func(stream.Report, error)) error
}

// Prepare sees that the schema is registered and the stream there, and gives the
// version that records name. It is asked again when a record finds either gone.
type Prepare func(ctx context.Context) (stream.SchemaRef, error)

// Options is what a Shipper needs.
type Options struct {
	Stream     string       // where records go; "": nothing is shipped
	Level      slog.Leveler // the lowest level that is shipped
	Queue      int          // records that may wait, from 1
	Source     Source
	Local      slog.Handler // where records go as well
	Registerer prometheus.Registerer
}

// Shipper ships the gateway's log. It may be used by any number of goroutines.
// What is logged before Start waits in the queue.
type Shipper struct {
	opts    Options
	local   *slog.Logger
	metrics *metrics
	queue   chan entry
	stop    chan struct{} // closed by Close
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu     sync.RWMutex // closed is not set while somebody puts a record in
	closed bool

	waiting sync.Mutex // of what follows; held for moments
	bytes   int
	lost    loss

	worker worker
}

// loss is what found the queue full since it was last told.
type loss struct {
	count       int
	first, last time.Time
}

// New makes a shipper, which takes records from now on.
func New(o Options) *Shipper {
	return &Shipper{
		opts:    o,
		local:   slog.New(o.Local).With(slog.String("component", "logstream")),
		metrics: newMetrics(o.Registerer),
		queue:   make(chan entry, max(o.Queue, 1)),
		stop:    make(chan struct{}),
		closed:  o.Stream == "",
	}
}

// Logger is the gateway's, for all but those whom publishing a record passes
// through: the publisher, the catalog, the schemas, the clients of Kafka and the
// embedded broker have to log to Options.Local alone. Each record that is
// shipped would make another one otherwise, without an end.
func (s *Shipper) Logger() *slog.Logger {
	if s.opts.Stream == "" {
		return slog.New(s.opts.Local)
	}
	return slog.New(&handler{local: s.opts.Local, shipper: s, fields: &object{}})
}

// Start begins to publish. It is called once, or not at all.
func (s *Shipper) Start(p Publisher, prepare Prepare) {
	if s.opts.Stream == "" {
		return
	}
	ctx, cancel := context.WithCancel(Quiet(context.Background()))
	s.cancel = cancel
	s.worker = worker{Shipper: s, publisher: p, prepare: prepare}
	s.running.Go(func() { s.worker.run(ctx) })
}

// Close takes no more records, publishes those that wait within half of the time
// that ctx leaves, for what was published has to be acknowledged in the rest,
// and counts those that it gives up. A second call does nothing.
func (s *Shipper) Close(ctx context.Context) {
	s.mu.Lock()
	ended := s.closed
	s.closed = true
	s.mu.Unlock()
	if ended || s.cancel == nil {
		return
	}
	close(s.stop)
	if deadline, ok := ctx.Deadline(); ok {
		late := time.AfterFunc(time.Until(deadline)/2, s.cancel)
		defer late.Stop()
	}
	defer context.AfterFunc(ctx, s.cancel)()
	s.running.Wait()
	s.cancel()
	if left := s.drop(stopped); left > 0 {
		s.local.Warn("log records were given up; they are not in their stream, as far as is known", slog.Int("records", left))
	}
}

// open says whether records are taken.
func (s *Shipper) open() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return !s.closed
}

// offer puts a record into the queue, or counts it as dropped. It never waits.
func (s *Shipper) offer(e entry) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return
	}
	s.waiting.Lock()
	defer s.waiting.Unlock()
	if s.bytes+len(e.data) <= maxQueueBytes {
		select {
		case s.queue <- e:
			s.bytes += len(e.data)
			s.metrics.queued.Inc()
			return
		default:
		}
	}
	s.metrics.dropped.WithLabelValues(queueFull).Inc()
	if s.lost.count++; s.lost.count == 1 {
		s.lost.first = e.at
	}
	s.lost.last = e.at
}

// took is for a record that has left the queue.
func (s *Shipper) took(e entry) entry {
	s.waiting.Lock()
	defer s.waiting.Unlock()
	s.bytes -= len(e.data)
	s.metrics.queued.Dec()
	return e
}

// tell logs, once there is room again, how many records were dropped.
func (s *Shipper) tell() {
	s.waiting.Lock()
	lost := s.lost
	room := len(s.queue) <= cap(s.queue)/2 && s.bytes <= maxQueueBytes/2
	if room {
		s.lost = loss{}
	}
	s.waiting.Unlock()
	if lost.count == 0 || !room {
		return
	}
	s.Logger().Warn("log records were dropped, for the queue to their stream was full", slog.String("component", "logstream"),
		slog.Int("records", lost.count), slog.Time("first", lost.first), slog.Time("last", lost.last))
}

// drop empties the queue, and gives how many records that were, with those that
// the worker gave up.
func (s *Shipper) drop(reason string) int {
	left := s.worker.givenUp
	for {
		select {
		case e := <-s.queue:
			s.took(e)
			left++
		default:
			s.metrics.dropped.WithLabelValues(reason).Add(float64(left))
			return left
		}
	}
}
