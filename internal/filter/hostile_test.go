package filter_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sluice/internal/filter"
	"sluice/internal/stream"
)

// tooLong and tooMuch are far more than anything here needs, even under the
// race detector on a busy machine: it is growth that they find.
const (
	tooLong = 2 * time.Second
	tooMuch = 256 << 20 // bytes allocated
)

// bounded fails the test if f needs too much.
func bounded(t *testing.T, name string, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	f()
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; took > tooLong || used > tooMuch {
		t.Errorf("%s: took %v and %d MB", name, took, used>>20)
	}
}

func TestHostileTexts(t *testing.T) {
	c := compiler(t)
	for _, part := range []string{
		"(", "[", "{", "{1:", "!", "-", "true?", "true||", "true&&(", "1+", "a", "a.", "a.b(", "a{", "a:", "@", `"`, "'''", "`", "0x", "1.",
		"\\", "? ", ". ", "1 ", "in ", "has(", "record.data.a.exists(x,", ".filter(x,true)", "record.data[", "[[]", "size(", "{}", "[1]+", "\n", "//", "é",
	} {
		for _, text := range []string{
			strings.Repeat(part, filter.MaxLength/len(part)),
			"true || " + strings.Repeat(part, 1000/len(part)) + "1" + strings.Repeat(closing(part), 1000/len(part)),
		} {
			bounded(t, text[:20], func() { _, _ = c.Compile(text) })
		}
	}
	for _, pattern := range []string{strings.Repeat("(a{1,100}){1,10}", 100), strings.Repeat("(", 900) + strings.Repeat(")*", 900), strings.Repeat("a?", 1500), strings.Repeat("[^a]", 900)} {
		bounded(t, pattern[:20], func() { _, _ = c.Compile(`record.data.s.matches("` + pattern + `")`) })
	}
}

func closing(part string) string {
	switch part[len(part)-1] {
	case '(', ',':
		return ")"
	case '[':
		return "]"
	case '{', ':':
		return "}"
	}
	return ""
}

// Every one of these would run for minutes, or fill the memory, if its cost
// were not watched or bounded by what it may be made of.
func TestHostileEvaluations(t *testing.T) {
	repeat := strings.Repeat
	datas := []string{
		`{"s":"` + repeat("a", 1<<18) + `","l":["` + repeat("a", 1<<18) + `"]}`,
		`{"s":"x","l":[` + repeat("1,", 1<<16) + `1]}`,
		`{"s":"x","l":[` + repeat(`{"a":1},`, 1<<14) + `{}]}`,
		`{"l":[` + repeat("[],", 1<<15) + `[]]}`,
		`{"l":[` + repeat(`"`+repeat("x", 200)+`",`, 1000) + `"x"]}`,
		`{"l":` + repeat("[", 5000) + repeat("]", 5000) + `}`,
		`{"l":[` + repeat(repeat("[", 20)+repeat("]", 20)+",", 2000) + `1]}`,
	}
	for _, text := range []string{
		repeat("record.data.s + ", 40) + `"" == "x"`,
		repeat("record.data.l + ", 40) + `[] == [1]`,
		`record.data.s.matches("(a*)*b")`,
		`record.data.s.matches("(a|aa|aaa|aaaa)*(a|a)*e")`,
		`record.data.l.all(x, x.matches("(x|xx)*y") || true)`,
		`record.data.l.all(x, record.data.l.all(y, record.data.l.all(z, true)))`,
		`record.data.l.all(x, x.all(y, y.all(z, z == y)))`,
		`record.data.l.all(x, record.data == record.data)`,
		`record.data.l.all(x, record.data.l == record.data.l)`,
		`record.data.l.all(x, record.data.l.filter(y, true) == record.data.l)`,
		`record.data.l.filter(x, true) == record.data.l.filter(x, true)`,
		`[record.data.l.filter(x, true)].all(a, record.data.l.all(x, a == a))`,
		`[[record.data.l.filter(x, true)]].all(a, record.data.l.all(x, a[0] == a[0]))`,
		`[{"a": [record.data.l]}].all(m, record.data.l.all(x, m == m))`,
		`record.data.l.all(x, record.timestamp.getHours("Europe/Berlin") >= 0)`,
		`record.data.l.all(x, string(x) == "1")`,
		`record.data.l.exists(x, x.contains("b"))`,
		`record.data.l.exists(x, record.data.s.contains("aaaaaaaaaaaaaaab"))`,
		`record.data.l.exists(x, -1 in record.data.l)`,
		`record.data.l.exists(x, !(x in record.data))`,
		`record.data.l.exists(x, size(record.data.s) < 0)`,
		`record.data.l.all(x, (record.data.l + record.data.l).all(y, true))`,
		repeat("record.data == record.data && ", 30) + "true",
		repeat("record.data == record.data && ", 100) + "true",
		repeat("size(record.data.s) == 0 || ", 140) + "true",
	} {
		f := compile(t, text)
		for i, data := range datas {
			r := &stream.Record{Data: []byte(data), Timestamp: time.Now()}
			bounded(t, fmt.Sprintf("%s on the data %d", text, i), func() { f.Match(r) })
		}
	}
}

// A filter whose cost is used up does not match, and is as good as new for the
// next record.
func TestCostIsOfOneEvaluation(t *testing.T) {
	f := compile(t, `record.data.all(x, record.data.all(y, x == y))`)
	large := &stream.Record{Data: []byte("[" + strings.Repeat("1,", 1000) + "1]")}
	small := &stream.Record{Data: []byte("[1,1,1]")}
	for range 3 {
		if f.Match(large) {
			t.Error("a million comparisons are not too many")
		}
		if !f.Match(small) {
			t.Error("nine comparisons are too many")
		}
	}
}

func TestCost(t *testing.T) {
	items := func(n int, item string) []byte {
		return []byte("[" + strings.Repeat(item+",", n) + item + "]")
	}
	for _, tc := range []struct {
		text string
		data []byte
		want bool
	}{
		{`record.data.exists(x, x.sku == "z") || true`, items(2000, `{"sku":"a","n":1}`), true},
		{`record.data.filter(x, x.n > 0).size() == 2001`, items(2000, `{"sku":"a","n":1}`), true},
		{`record.data.all(x, record.data == record.data)`, items(30, "[]"), true},
		{`record.data.all(x, record.data == record.data)`, items(300, "[]"), false}, // few bytes, many values
		{`record.data.all(x, record.timestamp.getHours("Europe/Berlin") >= 0)`, items(50, "1"), true},
		{`record.data.all(x, record.timestamp.getHours("Europe/Berlin") >= 0)`, items(150, "1"), false}, // files
		{`record.data.all(x, record.timestamp.getHours() >= 0)`, items(150, "1"), true},
		{`record.data.matches("b$") || true`, items(1, strings.Repeat("1", 1000)), true},
		{`record.data[0].matches("a*b$")`, items(1, `"`+strings.Repeat("a", 20_000)+`b"`), true},
		{`record.data[0].matches("a*b$")`, items(1, `"`+strings.Repeat("a", 1_000_000)+`b"`), false},
	} {
		r := &stream.Record{Data: tc.data, Timestamp: time.Now()}
		if got := compile(t, tc.text).Match(r); got != tc.want {
			t.Errorf("%s on %.20s…: got %v", tc.text, tc.data, got)
		}
	}
}

// The library's own count of a pattern's size panics on repetitions.
func TestPatternsWithRepetitions(t *testing.T) {
	for pattern, text := range map[string]string{"^a{2}$": "aa", "^[0-9]{4}-[0-9]{2}$": "2026-11", "^(ab){1,3}$": "abab"} {
		f := compile(t, `record.key.matches("`+pattern+`")`)
		if !f.Match(&stream.Record{Key: []byte(text)}) || f.Match(&stream.Record{Key: []byte(text + text + text)}) {
			t.Errorf("%s is not matched as it should be", pattern)
		}
	}
}

// A record that costs a filter too much is counted: nobody sees it otherwise.
func TestCostlyRecordsAreCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	c, err := filter.New(reg)
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.Compile(`record.data.all(x, record.data.all(y, x == y))`)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{"[1]", "[" + strings.Repeat("1,", 1000) + "1]", `{"no":"list"}`} {
		f.Match(&stream.Record{Data: []byte(data)})
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP sluice_filter_too_costly_total Records that filters of readers and subscriptions did not match because looking at them costs too much.
# TYPE sluice_filter_too_costly_total counter
sluice_filter_too_costly_total 1
`)); err != nil {
		t.Error(err)
	}
}
