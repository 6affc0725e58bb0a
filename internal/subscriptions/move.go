package subscriptions

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"sluice/internal/stream"
)

// maxMoves bounds the offsets in one request.
const maxMoves = 10_000

// target is a place that a request names.
type target struct {
	stream.At

	at string // where in the body
}

// Move moves the position of a subscription: everywhere to what "from" means
// now, or in the partitions that "offsets" names. The owner carries it out; what
// is under way may still be delivered. Errors: InvalidRequest with all that is
// wrong, UnknownSubscription, EtagMismatch.
func (s *Store) Move(ctx context.Context, id string, body []byte, c stream.Condition) (*stream.Subscription, error) {
	start, targets, err := readMove(body)
	if err != nil {
		return nil, err
	}
	sub, err := s.change(ctx, id, c, func(sub *stream.Subscription, revision int64) error {
		layouts, err := s.layouts(ctx, sub)
		if err != nil {
			return err
		}
		var to []stream.Beginning
		if targets != nil {
			to, err = s.aim(ctx, layouts, targets)
		} else {
			to, err = s.resolve(ctx, layouts, start)
		}
		if err != nil {
			return err
		}
		sub.Generation = revision
		sub.Begin = merge(sub.Begin, generation(to, revision), layouts)
		return nil
	})
	if err == nil {
		s.logger.Info("position moved", slog.String("subscription", id))
	}
	return sub, err
}

// readMove reads {"from":…} or {"offsets":[…]}.
func readMove(body []byte) (start stream.Start, targets []target, err error) {
	var found problems
	o, err := parse(body, &found)
	if err != nil {
		return start, nil, err
	}
	var from string
	o.text("from", &from)
	switch hasFrom, hasOffsets := o.given("from"), o.given("offsets"); {
	case hasFrom == hasOffsets:
		found.add("", `has either "from" (earliest, latest, a time, a position) or "offsets" (a list of stream, partition and offset)`)
	case hasFrom:
		if start, err = parseFrom(from); err != nil && !o.asIs("from") {
			o.bad("from", "%s", clientMessage(err, "cannot be read"))
		}
	default:
		targets = readTargets(o)
	}
	o.rest()
	return start, targets, found.err()
}

func readTargets(o *object) []target {
	targets := []target{}
	v := o.members["offsets"]
	if v.Kind() != '[' {
		o.bad("offsets", `is a list: [{"stream":"orders","partition":0,"offset":42}]`)
		return targets
	}
	d := jsontext.NewDecoder(bytes.NewReader(v))
	_, _ = d.ReadToken()
	for d.PeekKind() != ']' && len(targets) <= maxMoves {
		item, err := d.ReadValue()
		if err != nil {
			break
		}
		at := fmt.Sprintf("%s/%d", o.place("offsets"), len(targets))
		if item.Kind() != '{' {
			o.found.add(at, "is an object with stream, partition and offset")
			item = jsontext.Value("{}")
		}
		targets = append(targets, readTarget(newObject(at, slices.Clone(item), o.found)))
	}
	if len(targets) == 0 || len(targets) > maxMoves {
		o.bad("offsets", "has 1 to %d places", maxMoves)
	}
	return targets
}

func readTarget(o *object) target {
	t := target{at: o.at}
	o.text("stream", &t.Stream)
	partition, offset := 0, 0
	o.integer("partition", &partition, 0, math.MaxInt32)
	o.integer("offset", &offset, 0, math.MaxInt)
	for _, name := range []string{"stream", "partition", "offset"} {
		if len(o.members) > 0 && !o.given(name) {
			o.bad(name, "is missing")
		}
	}
	o.rest()
	t.Number, t.Offset = int32(partition), int64(offset)
	return t
}

// aim makes beginnings of places that a request names. They have to lie within
// what there is.
func (s *Store) aim(ctx context.Context, layouts []stream.Layout, targets []target) ([]stream.Beginning, error) {
	var found problems
	index := map[string]int{} // by stream
	var list []stream.Beginning
	for _, l := range layouts {
		index[l.Stream] = len(list)
		list = append(list, stream.Beginning{Stream: l.Stream, TopicID: l.TopicID, Offsets: slices.Repeat([]int64{-1}, l.Partitions)})
	}
	var ps []stream.Partition
	for _, t := range targets {
		i, known := index[t.Stream]
		switch {
		case !known:
			found.add(t.at+"/stream", "is no stream that the subscription reads")
		case int(t.Number) >= len(list[i].Offsets):
			found.add(t.at+"/partition", "does not exist: the stream has %d", len(list[i].Offsets))
		case list[i].Offsets[t.Number] >= 0:
			found.add(t.at+"/partition", "is named twice")
		default:
			list[i].Offsets[t.Number] = t.Offset
			ps = append(ps, t.Partition)
		}
	}
	if err := found.err(); err != nil {
		return nil, err
	}
	bounds, err := s.o.Streams.Bounds(ctx, ps)
	if err != nil {
		return nil, err
	}
	for i, t := range targets {
		if t.Offset < bounds[i].Begin || t.Offset > bounds[i].End {
			found.add(t.at+"/offset", "is not in the partition, which has %d to %d", bounds[i].Begin, bounds[i].End)
		}
	}
	list = slices.DeleteFunc(list, func(b stream.Beginning) bool {
		return !slices.ContainsFunc(b.Offsets, func(o int64) bool { return o >= 0 })
	})
	return list, found.err()
}

// Redrive asks for the dead letters there are now to be delivered again, and
// says how many that are, at most: some offsets may hold no record. The owner
// carries it out.
func (s *Store) Redrive(ctx context.Context, id string, c stream.Condition) (sub *stream.Subscription, records int64, err error) {
	sub, err = s.change(ctx, id, c, func(sub *stream.Subscription, revision int64) error {
		places, err := s.places(ctx, sub, sub.DeadLetter)
		if err != nil {
			return err
		}
		records = 0
		var until []stream.Beginning
		for _, p := range places {
			records += p.lag()
			if n := len(until); n == 0 || until[n-1].Stream != p.Stream {
				until = append(until, stream.Beginning{Stream: p.Stream, TopicID: p.layout.TopicID, Generation: revision})
			}
			last := &until[len(until)-1]
			last.Offsets = append(last.Offsets, p.bounds.End)
		}
		if records == 0 {
			return errUnchanged
		}
		sub.Redrive = stream.Redrive{Generation: revision, Until: until}
		return nil
	})
	return sub, records, err
}
