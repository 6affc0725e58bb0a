package stream_test

import (
	"testing"

	"sluice/internal/stream"
)

func parsed(t *testing.T, text string) stream.Pattern {
	t.Helper()
	p, err := stream.ParsePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPatternsWithinOthers(t *testing.T) {
	all, orders, eu := parsed(t, "*"), parsed(t, "orders.*,logs"), parsed(t, "*.eu,logs")
	p := all.Within(orders).Within(eu)
	for id, want := range map[string]bool{"orders.eu": true, "logs": true, "orders.us": false, "bills.eu": false, "orders": false} {
		if p.Match(id) != want {
			t.Errorf("%s: %v", id, !want)
		}
	}
	if p.String() != "*" || p.Key() == all.Key() || p.Key() == all.Within(orders).Key() || !all.Everything() || p.Everything() {
		t.Errorf("%q, key %q", p, p.Key())
	}
	if again := parsed(t, "*").Within(orders).Within(eu); again.Key() != p.Key() {
		t.Errorf("keys %q and %q", p.Key(), again.Key())
	}
	nothing := all.Within(stream.Pattern{})
	if nothing.Match("a") || nothing.Match("") || nothing.Key() == all.Key() {
		t.Error("nothing allows something")
	}
}

func TestIDsWithinABound(t *testing.T) {
	p := parsed(t, "a,b,c").Within(parsed(t, "b,c"))
	if ids, all := p.IDs(); !all || len(ids) != 2 || ids[0] != "b" {
		t.Errorf("%v, %v", ids, all)
	}
	kept, some := p.Keep(func(part string) bool { return part != "b" })
	if !some || kept.String() != "a,c" || kept.Match("a") || kept.Match("b") || !kept.Match("c") {
		t.Errorf("kept %q", kept.Key())
	}
	if _, some := p.Keep(func(string) bool { return false }); some {
		t.Error("something is left of nothing")
	}
}

func TestJoinedPatterns(t *testing.T) {
	p := stream.JoinPatterns(parsed(t, "a.*"), stream.Pattern{}, parsed(t, "b"), parsed(t, "a.*"))
	if p.String() != "a.*,b" || !p.Match("a.x") || !p.Match("b") || p.Match("c") || p.Nothing() {
		t.Errorf("joined %q", p)
	}
	if none := stream.JoinPatterns(); !none.Nothing() || none.Match("") || none.Match("a") {
		t.Error("no patterns select something")
	}
}

func TestSubscriptionsThatRightsSufficeFor(t *testing.T) {
	r := stream.Rights{Subscribe: parsed(t, "orders.*,dead"), Publish: parsed(t, "answers,dead"), JoinGroups: parsed(t, "g.*")}
	for name, tc := range map[string]struct {
		sub  stream.Subscription
		want bool
	}{
		"its streams":        {stream.Subscription{Streams: parsed(t, "orders.eu")}, true},
		"a pattern":          {stream.Subscription{Streams: parsed(t, "*")}, true},
		"another stream":     {stream.Subscription{Streams: parsed(t, "orders.eu,x")}, false},
		"answers":            {stream.Subscription{Streams: parsed(t, "*"), Publishes: "answers"}, true},
		"other answers":      {stream.Subscription{Streams: parsed(t, "*"), Publishes: "answers,x"}, false},
		"dead letters":       {stream.Subscription{Streams: parsed(t, "*"), DeadLetter: "dead"}, true},
		"other dead letters": {stream.Subscription{Streams: parsed(t, "*"), DeadLetter: "orders.eu"}, false},
		"a group":            {stream.Subscription{Streams: parsed(t, "*"), Group: "g.1"}, true},
		"another group":      {stream.Subscription{Streams: parsed(t, "*"), Group: "g"}, false},
	} {
		tc.sub.ID, tc.sub.Owner.Name = "s", "token:a"
		if tc.sub.Group == "" {
			tc.sub.Group = "s"
		}
		if tc.sub.DeadLetter == "" {
			tc.sub.DeadLetter = "s" + stream.DeadLetterSuffix
		}
		if err := tc.sub.Permitted(r); (err == nil) != tc.want || err != nil && stream.CodeOf(err) != stream.Forbidden {
			t.Errorf("%s: %v", name, err)
		}
	}
}
