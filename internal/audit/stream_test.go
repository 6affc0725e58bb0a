package audit_test

import (
	"context"
	"errors"
	"testing"

	"sluice/internal/audit"
	"sluice/internal/schemastore"
	"sluice/internal/stream"
)

// fakeGateway registers and publishes.
type fakeGateway struct {
	registered []stream.Registration
	published  []string
	answers    map[string]error // by the text; those that are not there are stored
	refuse     error            // of Register
}

func (f *fakeGateway) Register(_ context.Context, r stream.Registration) (v stream.SchemaVersion, created bool, err error) {
	f.registered = append(f.registered, r)
	return v, true, f.refuse
}

func (f *fakeGateway) Enqueue(_ context.Context, rec *stream.Outgoing, done func(stream.Report, error)) error {
	err := f.answers[string(rec.Data)]
	if stream.CodeOf(err) == stream.Overloaded { // at once
		return err
	}
	f.published = append(f.published, rec.Stream+" "+rec.Schema.String()+" "+string(rec.Data))
	go done(stream.Report{}, err)
	return nil
}

func TestEventsAreRecords(t *testing.T) {
	g := &fakeGateway{refuse: stream.Errorf(stream.KafkaUnavailable, "away"), answers: map[string]error{
		"2": stream.Errorf(stream.TooLarge, "too large"), "3": stream.Errorf(stream.OutcomeUnknown, "who knows"), "4": stream.Errorf(stream.Overloaded, "full"),
	}}
	s := audit.NewStream("audit", g, g)
	if err := s.Open(t.Context()); !errors.Is(err, g.refuse) {
		t.Errorf("got %v", err)
	}
	if left, _, err := s.Write(t.Context(), lines("1")); len(left) != 1 || err == nil {
		t.Errorf("%q, %v", left, err)
	}
	g.refuse = nil
	left, refused, err := s.Write(t.Context(), lines("1", "2", "3", "4", "5"))
	if len(left) != 2 || string(left[0]) != "3" || string(left[1]) != "4" || refused != 1 || err == nil {
		t.Errorf("%q, %d, %v", left, refused, err)
	}
	g.answers = nil
	if left, refused, err := s.Write(t.Context(), left); len(left) > 0 || refused > 0 || err != nil {
		t.Errorf("%q, %d, %v", left, refused, err)
	}
	if n := len(g.registered); n != 4 || g.registered[0].Streams[0] != "audit" || g.published[0] != "audit sluice.audit:1 1" {
		t.Errorf("registered %d times; %q", n, g.published)
	}
}

// The events that are written fit the schema that they say they have.
func TestEventsFitTheirSchema(t *testing.T) {
	g := &fakeGateway{}
	if err := audit.NewStream("audit", g, g).Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	schema, err := schemastore.Compile(g.registered[0].Schema)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(&fakeSink{}, nil)
	w.Record(decision("orders"), false)
	w.Record(stream.Decision{Kind: stream.AuditDenial, Outcome: stream.AuditDenied, Status: 403, Code: stream.Forbidden, Resource: "group", Name: "g"}, false)
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, line := range w.sink.written() {
		if err := schema.Validate([]byte(line)); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	if schema.Validate([]byte(`{"event":"else"}`)) == nil {
		t.Error("the schema takes anything")
	}
}
