package catalog_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/stream"
)

func TestList(t *testing.T) {
	w := newWorld()
	w.stream("b", "Order:1")
	w.stream("a", "")
	w.stream("other", "")
	w.topics["foreign"] = stream.Topic{Name: "foreign"}
	w.topics["t._sluice.schemas"] = stream.Topic{Name: "t._sluice.schemas"}
	w.theirs("a", "Order") // since we last looked
	w.theirs("gone", "Order")
	p, err := stream.ParsePattern("?,_sluice.*,foreign")
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.catalog(t).List(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, s := range got {
		seen = append(seen, s.ID+" "+s.Schema.String())
	}
	if d := cmp.Diff([]string{"a Order", "b Order:1"}, seen); d != "" {
		t.Error(d)
	}
}

func TestDescribe(t *testing.T) {
	w := newWorld()
	w.stream("orders", "")
	w.theirs("orders", "Order:1")
	c := w.catalog(t)
	if got, err := c.Describe(t.Context(), "orders"); err != nil || got.Schema != *ref("Order:1") {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err := c.Describe(t.Context(), "users")
	if e := wantCode(t, err, stream.UnknownStream); e == nil || !strings.Contains(e.Message, "PUT /streams/users") {
		t.Errorf("got %v, which does not say what to do", err)
	}
	_, err = c.Describe(t.Context(), "")
	wantCode(t, err, stream.InvalidRequest)
}

func TestDelete(t *testing.T) {
	for _, tc := range []struct {
		name  string
		world func(*world)
		code  stream.Code
		did   []string
		bound string
	}{
		{"unbound first", func(w *world) { w.stream("orders", "Order:1") }, "", []string{"bind orders ", "delete t.orders"}, ""},
		{"never bound", func(w *world) { w.stream("orders", "") }, "", []string{"delete t.orders"}, ""},
		{"bound meanwhile", func(w *world) {
			w.stream("orders", "Order:1")
			w.before["unbind"] = func() { w.theirs("orders", "Order:2") }
		}, "", []string{"bind orders ", "delete t.orders"}, ""},
		{"only the binding is left", func(w *world) { w.theirs("orders", "Order:1") }, "", []string{"bind orders "}, ""},
		{"nothing is there", func(*world) {}, stream.UnknownStream, nil, ""},
		{"Kafka forbids it", func(w *world) {
			w.stream("orders", "Order:1")
			w.fail["delete"] = stream.Errorf(stream.Forbidden, "no").WithOutcome(stream.NotStored)
		}, stream.Forbidden, []string{"bind orders ", "bind orders Order:1"}, "Order:1"},
		{"Kafka does not say", func(w *world) {
			w.stream("orders", "Order:1")
			w.fail["delete"] = stream.Errorf(stream.KafkaUnavailable, "slow").WithOutcome(stream.OutcomeUnclear)
		}, stream.KafkaUnavailable, []string{"bind orders "}, ""},
		{"the binding cannot be taken", func(w *world) {
			w.stream("orders", "Order:1")
			w.fail["unbind"] = stream.Errorf(stream.KafkaUnavailable, "away")
		}, stream.KafkaUnavailable, nil, "Order:1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld()
			tc.world(w)
			wantCode(t, w.catalog(t).Delete(t.Context(), "orders"), tc.code)
			w.wantDid(t, tc.did...)
			w.wantBound(t, "orders", tc.bound)
		})
	}
	wantCode(t, newWorld().catalog(t).Delete(t.Context(), "_x"), stream.InvalidRequest)
}

func registration(version int, streams ...string) stream.Registration {
	return stream.Registration{Name: "Order", Version: version, Streams: streams}
}

func TestRegister(t *testing.T) {
	w := newWorld()
	w.stream("earlier", "Order:1")
	w.stream("later", "Order:3")
	w.stream("newest", "Order")
	w.stream("unbound", "")
	r := registration(2, "earlier", "later", "newest", "unbound", "new", "new")
	r.Retention = new(time.Duration(-1))
	v, created, err := w.catalog(t).Register(t.Context(), r)
	if err != nil || created || v.Version != 2 {
		t.Errorf("got %+v, %v, %v", v, created, err)
	}
	for id, want := range map[string]string{"earlier": "Order:2", "later": "Order:3", "newest": "Order", "unbound": "Order:2", "new": "Order:2"} {
		w.wantBound(t, id, want)
		retention, set := w.topics["t."+id].Config["retention.ms"]
		if set != (id == "new") || set && retention != "-1" {
			t.Errorf("%s: got retention %q; a stream that existed keeps its own", id, retention)
		}
	}
}

// A later version is registered for the same stream at the same time.
func TestRegisterNeverMovesBack(t *testing.T) {
	for _, theirs := range []string{"Order:3", "Order"} {
		w := newWorld()
		w.stream("orders", "Order:1")
		w.before["topic"] = func() {
			w.theirs("orders", theirs)
			w.memory["orders"] = w.log["orders"]
		}
		if _, _, err := w.catalog(t).Register(t.Context(), registration(2, "orders")); err != nil {
			t.Error(err)
		}
		w.wantBound(t, "orders", theirs)
		// And when it is seen only by losing.
		w = newWorld()
		w.stream("orders", "Order:1")
		w.before["bind"] = func() { w.theirs("orders", theirs) }
		if _, _, err := w.catalog(t).Register(t.Context(), registration(2, "orders")); err != nil {
			t.Error(err)
		}
		w.wantBound(t, "orders", theirs)
	}
}

// Everything wrong with the streams is told at once, and nothing is done.
func TestRegisterRefuses(t *testing.T) {
	w := newWorld()
	w.stream("mine", "Order:1")
	w.stream("b", "Other:1")
	w.theirs("c", "Other:1")
	for _, tc := range []struct {
		streams []string
		code    stream.Code
		at      []string
	}{
		{[]string{"mine", "b", "c"}, stream.SchemaMismatch, []string{"#/streams/1", "#/streams/2"}},
		{[]string{"_x", "mine", "b", ".."}, stream.InvalidRequest, []string{"#/streams/0", "#/streams/3"}},
	} {
		_, _, err := w.catalog(t).Register(t.Context(), registration(2, tc.streams...))
		e := wantCode(t, err, tc.code)
		var at []string
		for _, v := range e.Violations {
			at = append(at, v.Pointer)
			if v.Detail == "" {
				t.Errorf("%s: no detail", v.Pointer)
			}
		}
		if d := cmp.Diff(tc.at, at); d != "" {
			t.Error(d)
		}
	}
	w.wantDid(t)
}

func TestRegisterHalfDone(t *testing.T) {
	w := newWorld()
	w.fail["create"] = stream.Errorf(stream.NameCollision, "there is a_b").WithOutcome(stream.NotStored)
	v, created, err := w.catalog(t).Register(t.Context(), registration(4, "a.b"))
	e := wantCode(t, err, stream.NameCollision)
	if !created || v.Version != 4 || !strings.Contains(e.Message, "Order:4 is registered, but the stream a.b is not bound to it: there is a_b") {
		t.Errorf("got %v, %v, %v", v, created, err)
	}
	w.wantBound(t, "a.b", "")
}

func TestRegisterWithoutStreams(t *testing.T) {
	w := newWorld()
	w.fail["sync"] = stream.Errorf(stream.KafkaUnavailable, "away") // nothing is asked about streams
	if _, created, err := w.catalog(t).Register(t.Context(), registration(4)); !created || err != nil {
		t.Errorf("got %v, %v", created, err)
	}
}
