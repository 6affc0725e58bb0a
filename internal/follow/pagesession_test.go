package follow_test

import (
	"time"

	"sluice/internal/stream"
)

// pages reads page after page until it is told to stop, as deliveries do.
func (s *session) pages(stop chan struct{}) {
	r := stream.PageRequest{Reading: s.r, Following: true}
	s.resumed = true // each page goes on anew
	for !s.dead {
		select {
		case <-stop:
			return
		default:
		}
		r.PageLimit = stream.PageLimit{Records: 1 + s.rng.IntN(20), Bytes: 1 << 20}
		hub := s.m.hubs[s.rng.IntN(4)/3] // by one more often, so that it has what follows
		a, err := hub.Page(s.m.t.Context(), r)
		if code := stream.CodeOf(err); code == stream.KafkaUnavailable || code == stream.UnknownStream || code == stream.InvalidRequest {
			select {
			case <-time.After(time.Second):
				continue
			case <-stop:
				return
			}
		}
		if err != nil {
			s.failf("page: %v", err)
			return
		}
		if s.token == "" {
			s.opened()
		}
		s.takePage(a)
		s.token = a.Next.String()
		s.note("page %s", s.token)
		r.Start, r.Wait = stream.Start{Kind: stream.FromPosition, Position: a.Next}, time.Duration(s.rng.IntN(800))*time.Millisecond
		if s.rng.IntN(10) == 0 && !s.m.calm.Load() {
			<-time.After(time.Duration(s.rng.IntN(8000)) * time.Millisecond)
		}
	}
}

// takePage checks a page. A gap may lie between two of its records.
func (s *session) takePage(a stream.PageAnswer) {
	taken := make([]bool, len(a.Records))
	take := func(chosen func(r *stream.Record) bool) {
		for i := range a.Records {
			r := &a.Records[i]
			if taken[i] || s.dead || !chosen(r) {
				continue
			}
			taken[i] = true
			s.note("page r %s %d %d %s", r.Stream, r.Partition, r.Offset, r.Data)
			s.record(stream.Partition{Stream: r.Stream, Number: r.Partition}, r.Offset, string(r.Data))
		}
	}
	for _, g := range a.Gaps {
		if g.To > g.From {
			take(func(r *stream.Record) bool {
				return r.Stream == g.Stream && r.Partition == g.Number && r.Offset < g.From
			})
		}
		s.note("page g %s %d %d %d", g.Stream, g.Number, g.From, g.To)
		s.gap(g.Partition, g.From, g.To)
	}
	take(func(*stream.Record) bool { return true })
}
