package delivery

import (
	"errors"
	"log/slog"
	"time"

	"sluice/internal/stream"
)

// The pauses after Kafka failed.
const (
	firstTrouble = 250 * time.Millisecond
	maxTrouble   = 10 * time.Second
)

// run is the worker's one goroutine that lives as long as it does.
func (w *worker) run() {
	if !w.compile() {
		return
	}
	pause := firstTrouble
	for !w.takeOver() {
		if !w.sleep(jitter(pause)) {
			return
		}
		pause = min(2*pause, maxTrouble)
	}
	w.main.run()
}

// compile prepares the filter. It was checked when the subscription was stored,
// so that failing is a fault of ours or of another version: nothing is sent
// then, since sending too much is no remedy.
func (w *worker) compile() bool {
	if w.sub.Filter == "" {
		return true
	}
	f, err := w.e.Filter(w.sub.Filter)
	if err != nil {
		w.trouble("the subscription's filter cannot be compiled; nothing is delivered", err)
		return false
	}
	w.filter = f
	return true
}

// takeOver asks where the group is. What it has committed is the truth.
func (w *worker) takeOver() bool {
	done, err := w.e.call(w.ctx)
	if err != nil {
		return false
	}
	offsets, err := w.e.Offsets.Committed(w.ctx, w.sub.Group)
	done()
	if err != nil {
		w.trouble("the subscription's offsets cannot be read", err)
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.old = make(map[stream.Partition]stream.GroupOffset, len(offsets))
	for _, o := range offsets {
		if o.Offset >= 0 {
			w.old[o.Partition] = o
		}
	}
	w.taken, w.rewrite = true, true
	w.beginRedrive()
	w.pump()
	return true
}

// trouble notes an error that is no endpoint's.
func (w *worker) trouble(what string, err error) {
	if w.ctx.Err() != nil {
		return
	}
	w.log.Warn(what, slog.Any("error", err))
	detail := "a fault of the gateway; its log says more"
	if e, ok := errors.AsType[*stream.Error](err); ok {
		detail = e.Message
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.health.failed(stream.Attempt{At: time.Now(), Detail: what + ": " + detail})
}

// newPart gives a partition with the place where its delivery goes on: the
// committed one, unless it was committed in another topic or before the
// position was moved.
func (w *worker) newPart(l stream.Layout, n int32) *part {
	p := &part{id: stream.Partition{Stream: l.Stream, Number: n}, layout: l, far: -1, tries: map[int64]try{}}
	at, ok := w.old[p.id]
	delete(w.old, p.id)
	m, ours := decodeMetadata(at.Metadata, at.Offset)
	if ours && m.topic != fingerprint(l.TopicID) {
		ok = false
		w.e.metrics.gaps.Inc()
		w.log.Warn("a stream was made anew; it is delivered from its beginning", slog.String("stream", l.Stream))
	}
	begin, generation, told := w.sub.BeginAt(l, n)
	switch {
	case ok && (!ours || !told || m.generation >= generation): // another program's commit has no generation: somebody moved the group on purpose
		p.progress = newProgress(at.Offset, m.done)
		for _, t := range m.tries {
			p.tries[t.offset] = t
		}
		p.generation = max(m.generation, generation)
	case told:
		p.progress, p.generation = newProgress(begin, nil), generation
	default:
		p.progress = newProgress(0, nil)
	}
	p.dirty = true
	return p
}

// remember keeps how far a partition has come that is not read any more, in
// case it comes back.
func (w *worker) remember(p *part) {
	if !p.ignored {
		w.old[p.id] = p.offset()
	}
}

// beginRedrive begins to deliver the dead letters again, unless the group says
// that it was done.
func (w *worker) beginRedrive() {
	if w.sub.Redrive.Generation == 0 || w.sub.DeadLetter == "" {
		return
	}
	pattern, err := stream.ParsePattern(w.sub.DeadLetter)
	if err != nil {
		return
	}
	w.again = newSource(w, pattern, true)
	w.work.Go(w.again.run)
}

// newRedrivePart is newPart for the dead-letter stream; nil when there is
// nothing (any more) to redrive in the partition.
func (w *worker) newRedrivePart(l stream.Layout, n int32) *part {
	until := int64(-1)
	for _, b := range w.sub.Redrive.Until {
		if b.Stream == l.Stream && b.TopicID == l.TopicID && int(n) < len(b.Offsets) {
			until = b.Offsets[n]
		}
	}
	id := stream.Partition{Stream: l.Stream, Number: n}
	at, ok := w.old[id]
	m, ours := decodeMetadata(at.Metadata, at.Offset)
	if ours && m.topic != fingerprint(l.TopicID) {
		ok = false
	}
	if until < 0 || ok && at.Offset >= until {
		if ok {
			at.TopicID = l.TopicID // which Kafka does not tell
			w.old[id] = at         // rewritten as it is
		}
		return nil
	}
	delete(w.old, id)
	p := &part{id: id, layout: l, far: -1, tries: map[int64]try{}, redrive: true, until: until, dirty: true}
	p.generation = w.sub.Redrive.Generation
	if ok {
		p.progress = newProgress(at.Offset, m.done)
	}
	return p
}
