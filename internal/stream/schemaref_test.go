package stream_test

import (
	"strings"
	"testing"

	"sluice/internal/stream"
)

func TestParseSchemaRef(t *testing.T) {
	long := strings.Repeat("n", stream.MaxSchemaName)
	for s, want := range map[string]stream.SchemaRef{
		"Order":                      {Name: "Order"},
		"Order:1":                    {Name: "Order", Version: 1},
		"a.b_c-d:2147483647":         {Name: "a.b_c-d", Version: 1<<31 - 1},
		"_":                          {Name: "_"},
		long + ":10":                 {Name: long, Version: 10},
		"":                           {},
		":1":                         {},
		"Order:":                     {},
		"Order:0":                    {},
		"Order:01":                   {},
		"Order:+1":                   {},
		"Order:-1":                   {},
		"Order: 1":                   {},
		"Order:1 ":                   {},
		"Order:1:2":                  {},
		"Order:2147483648":           {},
		"Order:99999999999999999999": {},
		"Order:latest":               {},
		"Or der:1":                   {},
		"Ördër:1":                    {},
		"a/b:1":                      {},
		long + "n:1":                 {},
	} {
		got, err := stream.ParseSchemaRef(s)
		if got != want || (err == nil) == want.IsZero() {
			t.Errorf("%.30q: got %+v, %v", s, got, err)
		}
		if err != nil && stream.CodeOf(err) != stream.InvalidRequest {
			t.Errorf("%.30q: got %v", s, err)
		}
	}
}

func FuzzSchemaRef(f *testing.F) {
	f.Add("Order:1")
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := stream.ParseSchemaRef(s)
		if err == nil && (ref.String() != s || ref.IsZero()) {
			t.Errorf("%q was read as %q", s, ref)
		}
	})
}

func TestSchemaRefAllows(t *testing.T) {
	for _, tc := range []struct {
		bound, named string
		want         bool
	}{
		{"Order:1", "Order:2", true},
		{"Order:2", "Order", true},
		{"Order", "Order:2", true},
		{"Order", "Orders", false},
		{"Order:1", "order:1", false},
	} {
		bound, _ := stream.ParseSchemaRef(tc.bound)
		named, _ := stream.ParseSchemaRef(tc.named)
		if bound.Allows(named) != tc.want {
			t.Errorf("%s takes %s: want %v", tc.bound, tc.named, tc.want)
		}
	}
}
