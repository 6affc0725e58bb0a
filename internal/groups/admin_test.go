package groups_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/groups"
	"sluice/internal/stream"
)

// office is a Kafka whose groups are administered.
type office struct {
	world

	groups    map[string]stream.Group
	committed []stream.GroupOffset
	set       []stream.GroupOffset
	forgotten []stream.Partition
	deleted   []string
	err       error
}

func (o *office) List(_ context.Context, keep func(string) bool) (found []stream.Group, err error) {
	for _, id := range []string{"a", "billing", "push"} {
		if g, there := o.groups[id]; there && keep(id) {
			found = append(found, g)
		}
	}
	return found, nil
}

func (o *office) Describe(_ context.Context, id string) (stream.Group, error) {
	if g, there := o.groups[id]; there {
		return g, nil
	}
	return stream.Group{}, stream.Errorf(stream.UnknownGroup, "no such group")
}

func (o *office) Set(_ context.Context, _ string, offsets []stream.GroupOffset) error {
	o.set = append(o.set, offsets...)
	return o.err
}

func (o *office) Forget(_ context.Context, _ string, ps []stream.Partition) error {
	o.forgotten = append(o.forgotten, ps...)
	return o.err
}

func (o *office) Delete(_ context.Context, id string) error {
	o.deleted = append(o.deleted, id)
	return o.err
}

// ledger is what the office's groups have committed.
type ledger struct{ *office }

func (l ledger) Committed(context.Context, string) ([]stream.GroupOffset, error) {
	return l.committed, nil
}

// open administers an office in which orders (two partitions, of 0 to 100 and 0
// to 101) and secret are read.
func (o *office) open() *groups.Admin {
	o.layouts = []stream.Layout{orders, {Stream: "secret", TopicID: "S", Partitions: 1}}
	return groups.NewAdmin(groups.AdminOptions{
		Kafka: &o.world, Directory: o, Changes: o, Progress: ledger{o},
		Elsewhere: func(g stream.GroupOffset, l stream.Layout) bool { return g.Metadata != "" && g.Metadata != l.TopicID },
		Owner: func(group string) string {
			if group == "push" {
				return "shipping"
			}
			return ""
		},
		Log: slog.New(slog.DiscardHandler),
	})
}

func in(id string, n int32) stream.Partition { return stream.Partition{Stream: id, Number: n} }

// seeing is the context of a caller who sees some streams.
func seeing(t *testing.T, streams string) context.Context {
	p, err := stream.ParsePattern(streams)
	if err != nil {
		t.Fatal(err)
	}
	return stream.WithCaller(t.Context(), &stream.Caller{Principal: stream.Principal{Name: "token:a"}, Rights: stream.Rights{Subscribe: p, JoinGroups: p}})
}

func reading(g string) map[string]stream.Group {
	return map[string]stream.Group{g: {ID: g, State: "stable", Members: []stream.GroupMember{
		{ID: "m1", Assignment: []stream.Partition{in("orders", 0), in("secret", 0)}, Others: 1},
		{ID: "m2", Assignment: []stream.Partition{in("orders", 1)}},
	}}}
}

// Lag is what a reader would still get. Where nobody can tell it is not known,
// and what the caller may not see is not told.
func TestDescribe(t *testing.T) {
	o := &office{groups: reading("billing"), committed: []stream.GroupOffset{
		{Partition: in("orders", 0), Offset: 60, Metadata: "A"},
		{Partition: in("secret", 0), Offset: 90},
		{Partition: in("orders", 7), Offset: 1}, // there is no such partition (any more)
		{Partition: in("gone", 0), Offset: 1},
	}}
	a := o.open()
	got, err := a.Describe(t.Context(), "billing")
	if err != nil {
		t.Fatal(err)
	}
	want := []stream.GroupProgress{
		{Partition: in("orders", 0), Committed: 60, End: 100, Lag: 40, Member: "m1"},
		{Partition: in("orders", 1), Committed: -1, End: 101, Lag: -1, Member: "m2"},
		{Partition: in("secret", 0), Committed: 90, End: 100, Lag: 10, Member: "m1"},
	}
	if d := cmp.Diff(want, got.Partitions); d != "" || got.Lag != 50 {
		t.Errorf("lag %d, (-want +got):\n%s", got.Lag, d)
	}
	got, err = a.Describe(seeing(t, "orders"), "billing")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want[:2], got.Partitions); d != "" || got.Lag != 40 {
		t.Errorf("lag %d, (-want +got):\n%s", got.Lag, d)
	}
	if m := got.Members[0]; len(m.Assignment) != 1 || m.Others != 2 {
		t.Errorf("the member reads %+v", m)
	}
	for id, code := range map[string]stream.Code{"none": stream.UnknownGroup, "": stream.InvalidRequest, "p_sluice.readers": stream.InvalidRequest} {
		_, err := a.Describe(t.Context(), id)
		wantCode(t, err, code)
	}
}

// Offsets of a stream that was made anew, or beyond its end, make no lag.
func TestDescribeWhatWasMadeAnew(t *testing.T) {
	o := &office{groups: map[string]stream.Group{"billing": {ID: "billing"}}, committed: []stream.GroupOffset{
		{Partition: in("orders", 0), Offset: 60, Metadata: "an earlier topic"},
		{Partition: in("orders", 1), Offset: 110},
	}}
	got, err := o.open().Describe(t.Context(), "billing")
	if err != nil {
		t.Fatal(err)
	}
	want := []stream.GroupProgress{
		{Partition: in("orders", 0), Committed: -1, End: 100, Lag: -1},
		{Partition: in("orders", 1), Committed: 110, End: 101, Lag: -1},
	}
	if d := cmp.Diff(want, got.Partitions); d != "" || got.Lag != 0 {
		t.Errorf("lag %d, (-want +got):\n%s", got.Lag, d)
	}
}

func TestListOfGroups(t *testing.T) {
	o := &office{groups: map[string]stream.Group{"a": {ID: "a"}, "billing": {ID: "billing"}, "push": {ID: "push"}}}
	a := o.open()
	for _, tc := range []struct {
		ctx     context.Context
		pattern string
		want    string
	}{{t.Context(), "*", "a billing push"}, {t.Context(), "b*,a", "a billing"}, {seeing(t, "p*"), "*", "push"}} {
		p, _ := stream.ParsePattern(tc.pattern)
		list, err := a.List(tc.ctx, p)
		var ids []string
		for _, g := range list {
			ids = append(ids, g.ID)
		}
		if got := strings.Join(ids, " "); got != tc.want || err != nil {
			t.Errorf("%s: got %s, %v", tc.pattern, got, err)
		}
	}
}

func spots(at ...stream.At) []stream.At { return at }

func to(id string, n int32, offset int64) stream.At {
	return stream.At{Partition: in(id, n), Offset: offset}
}

func TestMove(t *testing.T) {
	all, _ := stream.ParsePattern("*")
	var position, earlier stream.Position
	position.Set(orders, 1, 70)
	earlier.Set(stream.Layout{Stream: "orders", TopicID: "before"}, 0, 5)
	start := func(k stream.StartKind) stream.GroupMove { return stream.GroupMove{Start: &stream.Start{Kind: k}} }
	at := func(p stream.Position) stream.GroupMove {
		return stream.GroupMove{Start: &stream.Start{Kind: stream.FromPosition, Position: p}}
	}
	everywhere := start(stream.FromLatest)
	everywhere.Streams = &all
	for name, tc := range map[string]struct {
		ctx  context.Context
		move stream.GroupMove
		want []stream.At
	}{
		"earliest":       {t.Context(), start(stream.FromEarliest), spots(to("orders", 0, 0), to("orders", 1, 0))},
		"latest":         {t.Context(), start(stream.FromLatest), spots(to("orders", 0, 100), to("orders", 1, 101))},
		"a time":         {t.Context(), start(stream.FromTime), spots(to("orders", 0, 50), to("orders", 1, 51))},
		"a position":     {t.Context(), at(position), spots(to("orders", 1, 70))},
		"made anew":      {t.Context(), at(earlier), spots(to("orders", 0, 0))},
		"everywhere":     {t.Context(), everywhere, spots(to("orders", 0, 100), to("orders", 1, 101), to("secret", 0, 100))},
		"what is seen":   {seeing(t, "orders"), everywhere, spots(to("orders", 0, 100), to("orders", 1, 101))},
		"offsets":        {t.Context(), stream.GroupMove{Offsets: spots(to("secret", 0, 100), to("orders", 1, 0))}, spots(to("orders", 1, 0), to("secret", 0, 100))},
		"nothing at all": {t.Context(), at(stream.Position{}), nil},
	} {
		for _, try := range []bool{false, true} {
			o := &office{groups: map[string]stream.Group{"billing": {ID: "billing"}}, committed: []stream.GroupOffset{{Partition: in("orders", 1), Offset: 3}}}
			tc.move.Try = try
			got, err := o.open().Move(tc.ctx, "billing", tc.move)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if d := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("%s (-want +got):\n%s", name, d)
			}
			if try && len(o.set) > 0 || !try && len(o.set) != len(tc.want) {
				t.Errorf("%s, try %v: %d set", name, try, len(o.set))
			}
			for _, s := range o.set {
				if s.TopicID == "" {
					t.Errorf("%s: the topic is not named", name)
				}
			}
		}
	}
}

// Nothing is set of a move that is wrong in one place.
func TestMovesThatAreRefused(t *testing.T) {
	plain, _ := stream.ParsePattern("secret")
	nowhere, _ := stream.ParsePattern("nowhere")
	latest := func(p *stream.Pattern) stream.GroupMove {
		return stream.GroupMove{Start: &stream.Start{Kind: stream.FromLatest}, Streams: p}
	}
	offsets := func(at ...stream.At) stream.GroupMove { return stream.GroupMove{Offsets: at} }
	var beyond stream.Position
	beyond.Set(orders, 0, 101)
	for name, tc := range map[string]struct {
		ctx   context.Context
		group string
		move  stream.GroupMove
		want  stream.Code
		text  string
	}{
		"members":              {t.Context(), "busy", latest(nil), stream.GroupActive, "2 members"},
		"a subscription's":     {t.Context(), "push", latest(nil), stream.GroupInUse, "/subscriptions/shipping/position"},
		"unknown":              {t.Context(), "none", latest(nil), stream.UnknownGroup, ""},
		"the gateway's own":    {t.Context(), "p_sluice.readers", latest(nil), stream.InvalidRequest, "_sluice."},
		"nothing committed":    {t.Context(), "new", latest(nil), stream.InvalidRequest, "streams"},
		"unknown stream":       {t.Context(), "new", latest(&nowhere), stream.UnknownStream, "nowhere"},
		"unseen stream":        {seeing(t, "orders"), "new", latest(&plain), stream.Forbidden, "secret"},
		"unseen offsets":       {seeing(t, "orders"), "new", offsets(to("orders", 0, 1), to("secret", 0, 1)), stream.Forbidden, "secret"},
		"beyond the end":       {t.Context(), "new", offsets(to("orders", 0, 1), to("orders", 1, 102)), stream.InvalidRequest, "#/offsets/1/offset is not in the partition, which has 0 to 101"},
		"no such stream":       {t.Context(), "new", offsets(to("nowhere", 0, 1)), stream.InvalidRequest, "#/offsets/0/stream"},
		"no such partition":    {t.Context(), "new", offsets(to("orders", 2, 1)), stream.InvalidRequest, "the stream has 2"},
		"twice":                {t.Context(), "new", offsets(to("orders", 1, 1), to("orders", 1, 2)), stream.InvalidRequest, "#/offsets/1/partition is named twice"},
		"beyond by a position": {t.Context(), "new", stream.GroupMove{Start: &stream.Start{Kind: stream.FromPosition, Position: beyond}, Streams: new(parse(t, "orders"))}, stream.InvalidRequest, "0 to 100"},
	} {
		o := &office{groups: reading("busy")}
		o.groups["push"], o.groups["new"] = stream.Group{ID: "push"}, stream.Group{ID: "new"}
		_, err := o.open().Move(tc.ctx, tc.group, tc.move)
		if stream.CodeOf(err) != tc.want || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: %v", name, err)
		}
		if len(o.set) > 0 {
			t.Errorf("%s: %v was set", name, o.set)
		}
	}
}

func parse(t *testing.T, text string) stream.Pattern {
	t.Helper()
	p, err := stream.ParsePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A group that is named for the first time is made by what it is moved to.
func TestMoveOfAGroupThatDoesNotExist(t *testing.T) {
	o := &office{}
	if _, err := o.open().Move(t.Context(), "new", stream.GroupMove{Offsets: spots(to("orders", 0, 5))}); err != nil || len(o.set) != 1 {
		t.Errorf("set %v, %v", o.set, err)
	}
	o.err = stream.Errorf(stream.UnknownStream, "no such stream")
	_, err := o.open().Move(t.Context(), "new", stream.GroupMove{Offsets: spots(to("orders", 0, 5))})
	if wantCode(t, err, stream.UnknownStream); !strings.Contains(err.Error(), "may have taken the offsets in the others") {
		t.Error(err)
	}
}

func TestForgetAndDelete(t *testing.T) {
	o := &office{groups: reading("busy"), committed: []stream.GroupOffset{{Partition: in("orders", 0), Offset: 4}, {Partition: in("secret", 0), Offset: 5}}}
	o.groups["billing"] = stream.Group{ID: "billing"}
	a := o.open()
	got, err := a.Forget(seeing(t, "orders"), "billing", parse(t, "*"))
	if d := cmp.Diff(spots(to("orders", 0, 4)), got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	if got, err = a.Forget(t.Context(), "billing", parse(t, "other")); got != nil || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if d := cmp.Diff([]stream.Partition{in("orders", 0)}, o.forgotten); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if err := a.Delete(t.Context(), "billing"); err != nil {
		t.Error(err)
	}
	for id, want := range map[string]stream.Code{"busy": stream.GroupActive, "push": stream.GroupInUse, "none": stream.UnknownGroup, "p_sluice.x": stream.InvalidRequest} {
		wantCode(t, a.Delete(t.Context(), id), want)
		_, err := a.Forget(t.Context(), id, parse(t, "*"))
		wantCode(t, err, want)
	}
	if d := cmp.Diff([]string{"billing"}, o.deleted); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
