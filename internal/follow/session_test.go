package follow_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/follow"
	"sluice/internal/stream"
)

// session is one reader, which goes from hub to hub.
type session struct {
	m       *model
	r       stream.Reading
	rng     *rand.Rand
	seen    map[stream.Partition]*place
	undo    map[stream.Partition]*place // as it was at the token, where that is not what was given last
	given   map[recordID]bool
	first   map[string]string // the topic of each stream when it began
	token   string
	resumed bool
	log     []string
	dead    bool
}

// recordID tells a record from all others.
type recordID struct {
	topic     string
	partition int32
	offset    int64
}

// checkGiven says whether everything of a topic that was made while a reader
// read was given, however often.
func (s *session) checkGiven(id stream.Partition, l stream.Layout) {
	s.m.c.mu.Lock()
	defer s.m.c.mu.Unlock()
	p := s.m.h.topics[l.TopicID].parts[id.Number]
	for o := max(p.begin, s.place(id).next); o < p.end; o++ {
		r := p.records[o]
		if first := s.first[id.Stream]; first == l.TopicID && s.r.Start.Kind != stream.FromEarliest {
			return // it did not begin at the beginning
		}
		if r != nil && (s.r.Filter == nil || s.r.Filter.Match(r)) && !s.given[recordID{l.TopicID, id.Number, o}] {
			s.failf("%v: offset %d of topic %s never came", id, o, l.TopicID)
			return
		}
	}
}

// place is what a reader must be given next of a partition.
type place struct {
	id   string // of the topic; "" until the first record shows it
	next int64
	free bool // it may begin before next, or where retention left it
	lax  bool // it may begin before next
}

func (s *session) failf(format string, args ...any) {
	s.m.t.Errorf("%s from %v, partition %d: %s\n%s", s.r.Pattern, s.r.Start.Kind, s.r.Partition, fmt.Sprintf(format, args...), s.story(args))
	s.dead = true
}

// story tells what happened to the stream that a failure names first.
func (s *session) story(args []any) string {
	lines := slices.Concat(s.m.events, s.log)
	if id, ok := args[0].(stream.Partition); ok {
		named := fmt.Sprintf(" %s ", id.Stream)
		lines = slices.DeleteFunc(lines, func(l string) bool {
			return !strings.Contains(l+" ", named) && !strings.Contains(l, " follow ") && !strings.Contains(l, " "+id.Stream+":")
		})
	}
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(a[:9], b[:9]) })
	return strings.Join(lines[max(0, len(lines)-150):], "\n")
}

// run reads until it is told to stop, with breaks after which it resumes by
// the position it was given last.
func (s *session) run(stop chan struct{}) {
	for !s.dead {
		r := s.r
		if s.token != "" {
			r.Start = stream.Start{Kind: stream.FromPosition, Position: position(s.m.t, s.token)}
		}
		maps.Copy(s.seen, s.undo)
		clear(s.undo)
		s.note("follow %v %s", r.Start.Kind, s.token)
		f, err := s.m.hubs[s.rng.IntN(2)].Follow(s.m.t.Context(), r, lines{pad: s.rng.IntN(2) * 100})
		if code := stream.CodeOf(err); code == stream.KafkaUnavailable || code == stream.UnknownStream || code == stream.InvalidRequest {
			select {
			case <-time.After(time.Second):
				continue
			case <-stop:
				s.dead = true
				return
			}
		}
		if err != nil {
			s.failf("follow: %v", err)
			return
		}
		if s.token == "" {
			s.opened()
		}
		done := s.read(f, stop)
		f.Close()
		if done {
			return
		}
		s.resumed = true
	}
}

// opened notes where a new reader must begin at the latest.
func (s *session) opened() {
	s.m.c.mu.Lock()
	defer s.m.c.mu.Unlock()
	for name, t := range s.m.c.topics {
		if !s.r.Pattern.Match(name) {
			continue
		}
		s.first[name] = t.id
		if s.m.lax {
			continue
		}
		for n, p := range t.parts {
			id := stream.Partition{Stream: name, Number: int32(n)}
			switch s.r.Start.Kind {
			case stream.FromLatest:
				s.seen[id] = &place{next: p.end, lax: true, free: true}
			case stream.FromTime:
				next := p.begin
				for next < p.end && (p.records[next] == nil || p.records[next].Timestamp.Before(s.r.Start.Time)) {
					next++
				}
				s.seen[id] = &place{next: next, lax: true, free: true}
			}
		}
	}
}

func (s *session) note(format string, args ...any) {
	s.log = append(s.log, time.Now().Format("04:05.000 ")+fmt.Sprintf(format, args...))
}

func (s *session) read(f *follow.Follower, stop chan struct{}) (done bool) {
	ctx, cancel := context.WithCancel(s.m.t.Context())
	defer cancel()
	until := time.Now().Add(time.Duration(s.rng.IntN(20_000)) * time.Millisecond)
	s.token = string(f.Position())
	for {
		select {
		case <-stop:
			return true
		default:
		}
		if time.Now().After(until) && s.rng.IntN(5) > 0 {
			if s.rng.IntN(2) == 0 {
				s.token = string(f.Position()) // as a keep-alive tells it
			}
			return false
		}
		b, err := f.Next(ctx, 500*time.Millisecond)
		if err != nil {
			s.failf("next: %v", err)
			return true
		}
		keep := bytes.Count(b, []byte("\n"))
		if s.rng.IntN(20) == 0 && keep > 0 { // the connection breaks in the middle
			keep = s.rng.IntN(keep)
			s.take(b, keep)
			return false
		}
		s.take(b, keep)
		if b == nil {
			s.token = string(f.Position())
		}
		if s.dead {
			return true
		}
		if s.rng.IntN(3) == 0 && !s.m.calm.Load() {
			<-time.After(time.Duration(s.rng.IntN(1500)) * time.Millisecond)
		}
	}
}

// take checks the first frames of what was given.
func (s *session) take(b []byte, frames int) {
	for line := range strings.SplitSeq(string(b), "\n") {
		if frames == 0 || s.dead {
			return
		}
		frames--
		s.note("%s", line)
		w := strings.Fields(strings.TrimRight(line, "."))
		id := stream.Partition{Stream: w[1], Number: int32(number(w[2]))}
		if w[5] != s.token {
			clear(s.undo)
		}
		if w[0] == "r" {
			s.record(id, number(w[3]), w[4])
		} else {
			if old := *s.place(id); w[5] == s.token && s.undo[id] == nil {
				s.undo[id] = &old // who resumes is told again
			}
			s.gap(id, number(w[3]), number(w[4]))
		}
		s.token = w[5]
	}
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func (s *session) place(id stream.Partition) *place {
	p := s.seen[id]
	if p == nil {
		p = &place{free: true}
		s.seen[id] = p
	}
	return p
}

// missed gives an offset of a record that should have come in [from, to).
func (s *session) missed(topic string, id stream.Partition, from, to int64, retained bool) (int64, bool) {
	s.m.c.mu.Lock()
	defer s.m.c.mu.Unlock()
	t := s.m.h.topics[topic]
	if t == nil || int(id.Number) >= len(t.parts) {
		return 0, false
	}
	p := t.parts[id.Number]
	for o := max(from, t.base); o < min(to, p.end); o++ {
		if r := p.records[o]; r != nil && (s.r.Filter == nil || s.r.Filter.Match(r)) && (!retained || o >= p.begin) {
			return o, true
		}
	}
	return 0, false
}

func (s *session) record(id stream.Partition, offset int64, topic string) {
	if s.r.Partition >= 0 && id.Number != s.r.Partition || !s.r.Pattern.Match(id.Stream) {
		s.failf("a record of another partition")
	}
	if s.m.lax {
		s.given[recordID{topic, id.Number, offset}] = true
		return
	}
	p := s.place(id)
	if p.id != "" && p.id != topic {
		_, before := s.missed(topic, id, 0, offset, true)
		switch {
		case s.resumed && !before: // the stream was gone when it resumed
		default:
			s.failf("%v: a record of topic %s after those of %s, without a gap", id, topic, p.id)
			return
		}
		*p = place{id: topic, next: offset}
	}
	if offset < p.next && !p.lax {
		s.failf("%v: offset %d again, %d is next", id, offset, p.next)
		return
	}
	if o, missed := s.missed(topic, id, p.next, offset, p.free); missed {
		s.failf("%v: offset %d is missing before %d", id, o, offset)
		return
	}
	*p = place{id: topic, next: offset + 1}
}

func (s *session) gap(id stream.Partition, from, to int64) {
	if s.m.lax {
		return
	}
	p := s.place(id)
	if topic := "id" + strconv.FormatInt(from/1_000_000, 10); s.m.c.apart && p.id != "" && topic != p.id && s.resumed {
		*p = place{id: topic, next: 0, free: true} // the stream was gone when it resumed
	}
	if s.m.c.apart && p.id != "" && (!s.resumed || from/1_000_000 == to/1_000_000) {
		if o, missed := s.missed(p.id, id, p.next, from, p.free); missed {
			s.failf("%v: offset %d is missing before the gap from %d", id, o, from)
		}
	}
	*p = place{next: to, free: !s.m.c.apart || to == 0}
	if s.m.c.apart && to > 0 {
		p.id = "id" + strconv.FormatInt(to/1_000_000, 10)
	}
}

// checkEnd says whether all that there is was given.
func (s *session) checkEnd() {
	if s.dead {
		return
	}
	for _, l := range s.m.c.layouts(s.r.Pattern) {
		for n := range int32(l.Partitions) {
			if s.r.Partition >= 0 && n != s.r.Partition {
				continue
			}
			id := stream.Partition{Stream: l.Stream, Number: n}
			if s.m.lax {
				s.checkGiven(id, l)
				continue
			}
			p := s.place(id)
			next := p.next
			if p.id != "" && p.id != l.TopicID {
				next = 0
			}
			if o, missed := s.missed(l.TopicID, id, next, 1<<60, true); missed {
				s.failf("%v: offset %d of topic %s never came", id, o, l.TopicID)
			}
		}
	}
}
