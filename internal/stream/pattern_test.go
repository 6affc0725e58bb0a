package stream_test

import (
	"bufio"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/stream"
)

// The cases and what Python says of them are written by testdata/fnmatch.py.
func TestPatternIsFnmatch(t *testing.T) {
	f, err := os.Open("testdata/fnmatch.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); n++ {
		field := strings.Split(lines.Text(), "\t")
		if field[0] == "" {
			continue // not a pattern of ours
		}
		p, err := stream.ParsePattern(field[0])
		if err != nil {
			t.Fatal(err)
		}
		if got, want := p.Match(field[1]), field[2] == "1"; got != want {
			t.Errorf("%q matches %q: got %v, Python says %v", field[0], field[1], got, want)
		}
	}
	if n < 5000 {
		t.Errorf("only %d cases were read", n)
	}
}

func TestPatternJoinsParts(t *testing.T) {
	for _, tc := range []struct {
		pattern string
		yes, no []string
		ids     []string
		all     bool
	}{
		{"orders", []string{"orders"}, []string{"order", "orders.eu", "Orders", ""}, []string{"orders"}, true},
		{"orders,users", []string{"orders", "users"}, []string{"orders,users"}, []string{"orders", "users"}, true},
		{"orders,log.*", []string{"orders", "log.", "log.a"}, []string{"log"}, []string{"orders"}, false},
		{"*", []string{"a", ""}, nil, nil, false},
		{"[a]", []string{"a"}, []string{"[a]"}, nil, false},
	} {
		p, err := stream.ParsePattern(tc.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range tc.yes {
			if !p.Match(id) {
				t.Errorf("%s does not match %q", p, id)
			}
		}
		for _, id := range tc.no {
			if p.Match(id) {
				t.Errorf("%s matches %q", p, id)
			}
		}
		ids, all := p.IDs()
		if d := cmp.Diff(tc.ids, ids); d != "" || all != tc.all {
			t.Errorf("%s: got %v, %v", p, ids, all)
		}
		if p.String() != tc.pattern {
			t.Errorf("got %q, want %q", p, tc.pattern)
		}
	}
}

func TestPatternRefuses(t *testing.T) {
	for _, s := range []string{
		"", ",", "a,", ",a", "a,,b",
		strings.Repeat("a", stream.MaxPattern+1),
		strings.Repeat("a,", stream.MaxPatternParts) + "a",
	} {
		if _, err := stream.ParsePattern(s); stream.CodeOf(err) != stream.InvalidRequest {
			t.Errorf("%.20q: got %v", s, err)
		}
	}
	for _, s := range []string{strings.Repeat("a", stream.MaxPattern), strings.Repeat("a,", stream.MaxPatternParts-1) + "a"} {
		if _, err := stream.ParsePattern(s); err != nil {
			t.Errorf("%.20q: %v", s, err)
		}
	}
}

// A matcher that took up more than the last star again would not end within
// the age of the universe.
func TestPatternsOfManyStarsEnd(t *testing.T) {
	name := strings.Repeat("a", stream.MaxTopicLength)
	for _, s := range []string{
		strings.Repeat("*a", 200) + "*b",
		strings.Repeat("*[ab]", 100) + "*[!a]",
		strings.Repeat("*?", 100) + "*b",
	} {
		p, err := stream.ParsePattern(s)
		if err != nil {
			t.Fatal(err)
		}
		if p.Match(name) {
			t.Errorf("%s matches", s)
		}
	}
}
