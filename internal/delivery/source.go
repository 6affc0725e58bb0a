package delivery

import (
	"context"
	"slices"
	"time"

	"sluice/internal/stream"
)

// The times of reading.
const (
	idleWait    = 2 * time.Minute // for a first record; a page that waits costs a goroutine
	missingWait = 5 * time.Second // the same, while streams that are named do not exist
	crowdedWait = time.Second
)

// The pages that are asked for. A page that waits is small, since many who wait
// may get theirs at the same moment.
const (
	waitRecords = 16
	waitBytes   = 16 << 10
	pageRecords = 500
	pageBytes   = 256 << 10
)

// source reads the streams of a pattern into a worker. Its fields are behind
// the worker's mutex; one goroutine runs it.
type source struct {
	w       *worker
	pattern stream.Pattern // what the subscription names
	redrive bool

	reading stream.Pattern // without streams that do not exist
	exists  bool           // reading selects something
	missing bool           // some that are named do not exist
	known   bool           // parts are those of the streams as they were last seen
	streams int
	parts   []*part
	index   map[stream.Partition]*part
	more    bool          // the last page was not all there is
	kick    chan struct{} // wakes the goroutine when it waits for room
	waiting bool          // it does
	cancel  func()        // ends the page that is being waited for
}

func newSource(w *worker, p stream.Pattern, redrive bool) *source {
	return &source{w: w, pattern: p, redrive: redrive, index: map[stream.Partition]*part{}, kick: make(chan struct{}, 1)}
}

// run reads until the subscription is given up, or the redrive is over.
func (s *source) run() {
	pause := firstTrouble
	for s.w.ctx.Err() == nil && !s.over() {
		err := s.step()
		if err == nil {
			pause = firstTrouble
			continue
		}
		s.w.trouble("the subscription's streams cannot be read", err)
		s.w.mu.Lock()
		s.known = false
		s.w.mu.Unlock()
		if !s.w.sleep(jitter(pause)) {
			return
		}
		pause = min(2*pause, maxTrouble)
	}
}

// over says whether all of a redrive was read.
func (s *source) over() bool {
	if !s.redrive {
		return false
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return s.known && !slices.ContainsFunc(s.parts, func(p *part) bool { return p.progress.next < p.until })
}

// step reads one page, or waits until there is room for one.
func (s *source) step() error {
	s.w.mu.Lock()
	known := s.known
	s.w.mu.Unlock()
	if !known {
		if err := s.look(); err != nil || s.over() {
			return err
		}
	}
	a, ok := s.ask()
	if !ok {
		s.wait(a.wait)
		return nil
	}
	if a.far {
		return s.findEnds()
	}
	defer a.cancel()
	answer, err := s.w.e.Pages.Page(a.ctx, a.request)
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.cancel = nil
	defer s.w.e.memory.Add(-a.room)
	if err != nil {
		if a.ctx.Err() != nil { // somebody wants it asked anew
			return nil
		}
		return err
	}
	s.take(a, answer)
	return nil
}

// wait waits until there may be room; d bounds it, 0 does not.
func (s *source) wait(d time.Duration) {
	var timeout <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timeout = t.C
	}
	select {
	case <-s.kick:
	case <-timeout: // the streams may have changed
		s.w.mu.Lock()
		s.known = false
		s.w.mu.Unlock()
	case <-s.w.ctx.Done():
	}
}

// look finds out which partitions there are.
func (s *source) look() error {
	layouts, err := s.w.e.Pages.Layouts(s.w.ctx, s.pattern)
	if err != nil {
		return err
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.narrow(layouts)
	s.place(layouts)
	s.known = true
	s.w.pump()
	return nil
}

// narrow leaves out of the pattern those ids that no stream has: asking for
// them would be an error, and hold up the others.
func (s *source) narrow(layouts []stream.Layout) {
	ids, _ := s.pattern.IDs()
	s.missing = false
	s.reading, s.exists = s.pattern.Keep(func(part string) bool {
		gone := slices.Contains(ids, part) && !slices.ContainsFunc(layouts, func(l stream.Layout) bool { return l.Stream == part })
		s.missing = s.missing || gone
		return !gone
	})
}

// place makes the parts those of the layouts. What is known of a partition
// holds as long as its topic is the same.
func (s *source) place(layouts []stream.Layout) {
	w, before := s.w, s.index
	s.index, s.parts, s.streams = map[stream.Partition]*part{}, nil, len(layouts)
	for _, l := range layouts {
		for n := range int32(l.Partitions) {
			id := stream.Partition{Stream: l.Stream, Number: n}
			p := before[id]
			if p != nil && p.layout.TopicID != l.TopicID {
				w.log.Warn("a stream was made anew; it is delivered from its beginning")
				w.e.metrics.gaps.Inc()
				w.lose(p)
				p = nil
			}
			switch {
			case p != nil:
				p.layout = l
			case s.redrive:
				p = w.newRedrivePart(l, n)
			case !w.sub.Reads(l.Stream):
				p = &part{id: id, layout: l, far: -1, ignored: true}
			default:
				p = w.newPart(l, n)
			}
			delete(before, id)
			if p != nil {
				s.index[id] = p
				s.parts = append(s.parts, p)
			}
		}
	}
	for _, p := range before {
		w.remember(p)
		w.lose(p)
	}
}

// asking is a page that is being asked for.
type asking struct {
	ctx     context.Context
	cancel  context.CancelFunc
	request stream.PageRequest
	from    map[*part]int64 // where each partition is asked for
	room    int64           // what was set aside for it
	far     bool            // the ends have to be known first
	wait    time.Duration   // there is no room: how long to wait for it, 0 until a kick
}

// ask gives the next page to ask for. Partitions without room are told to be
// read from beyond their ends, so that they do not hold up the others: what
// comes there meanwhile is passed over, and read again when there is room.
func (s *source) ask() (asking, bool) {
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	a := asking{from: map[*part]int64{}}
	s.waiting = true
	switch {
	case w.paused || w.stopping:
		return a, false
	case !s.known || !s.exists:
		s.known = false
		a.wait = missingWait
		return a, false
	case w.crowdedOut():
		a.wait = idleWait
		if w.e.crowded() {
			a.wait = crowdedWait
		}
		return a, false
	}
	var at, until stream.Position
	for _, p := range s.parts {
		p.skipped = p.ignored || !w.hasRoom(p) || s.redrive && p.progress.next >= p.until
		if !p.skipped {
			p.far = -1
			a.from[p] = p.progress.next
			at.Set(p.layout, p.id.Number, p.progress.next)
			until.Set(p.layout, p.id.Number, p.until)
		} else if !s.redrive {
			a.far = a.far || p.far < 0
			at.Set(p.layout, p.id.Number, p.far)
		}
	}
	if len(a.from) == 0 && len(s.parts) > 0 && !s.onlyIgnored() {
		a.wait = idleWait
		return a, false
	}
	s.waiting = false
	if a.far {
		return a, true
	}
	a.request = s.request(at)
	if s.more {
		s.setRoomAside(&a)
	}
	if s.redrive {
		a.request.Until = &until
	}
	a.ctx, a.cancel = context.WithCancel(w.ctx)
	s.cancel = a.cancel
	return a, true
}

// setRoomAside sets memory aside for a page. Where there is none, one record is
// read, so that everybody gets on.
func (s *source) setRoomAside(a *asking) {
	if m := &s.w.e.memory; m.Add(pageBytes) > s.w.e.MemoryBytes {
		m.Add(-pageBytes)
		a.request.PageLimit = stream.PageLimit{Records: 1, Bytes: 1}
		return
	}
	a.room = pageBytes
}

func (s *source) onlyIgnored() bool {
	return !slices.ContainsFunc(s.parts, func(p *part) bool { return !p.ignored })
}

func (s *source) request(at stream.Position) stream.PageRequest {
	r := stream.PageRequest{
		Reading: stream.Reading{
			Pattern: s.reading, Partition: stream.AnyPartition, Filter: s.w.filter,
			Start: stream.Start{Kind: stream.FromPosition, Position: at},
		},
		PageLimit: stream.PageLimit{Records: pageRecords, Bytes: pageBytes},
		Following: true,
	}
	switch {
	case s.redrive:
		r.Filter = nil
	case !s.more:
		r.PageLimit = stream.PageLimit{Records: waitRecords, Bytes: waitBytes}
		r.Wait = idleWait
		if s.missing {
			r.Wait = missingWait
		}
	}
	return r
}

// findEnds finds the ends of the partitions that are not to be read.
func (s *source) findEnds() error {
	r := s.request(stream.Position{})
	r.Start, r.Wait, r.PageLimit = stream.Start{Kind: stream.FromLatest}, 0, stream.PageLimit{Records: 1, Bytes: 1}
	answer, err := s.w.e.Pages.Page(s.w.ctx, r)
	if err != nil {
		return err
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	for _, p := range s.parts {
		if p.skipped {
			end, ok := nextIn(answer.Next, p)
			if !ok {
				s.known = false
				return nil
			}
			p.far = end
		}
	}
	return nil
}

// nextIn gives a position's offset in a partition, and false when it is of
// another topic.
func nextIn(at stream.Position, p *part) (int64, bool) {
	offsets, known := at.Find(p.layout)
	if known != stream.KnownWell || int(p.id.Number) >= len(offsets) || offsets[p.id.Number] < 0 {
		return 0, false
	}
	return offsets[p.id.Number], true
}
