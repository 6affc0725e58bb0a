package filter_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/filter"
	"sluice/internal/stream"
)

func compiler(t testing.TB) *filter.Compiler {
	t.Helper()
	c, err := filter.New(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func compile(t testing.TB, text string) stream.Filter {
	t.Helper()
	f, err := compiler(t).Compile(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f
}

// full is a record that has everything.
func full() *stream.Record {
	return &stream.Record{
		Stream: "orders.eu", Partition: 3, Offset: 42, Timestamp: time.UnixMilli(1769860800123), Key: []byte("ключ"),
		Headers: []stream.Header{
			{Name: "a", Value: []byte("1")},
			{Name: "a", Value: []byte("2")},
			{Name: "nil"},
			{Name: "binary", Value: []byte{0xff}},
			{Name: "content-type", Value: []byte("text/plain")},
		},
		Schema: "Order:1",
		Data: []byte(`{"qty" : 4,"whole":4.0,"price":19.5,"max":9223372036854775807,"id":18446744073709551615,"huge":1e400,
			"large":123456789012345678901234567890,"small":-7,"s":"x","esc":"a\"\\\u00e9\ud83d\ude00\ud800","yes":true,"no":false,"none":null,
			"list":[1,2.0,"x",null,[3]],"items":[{"sku":"a","n":1},{"sku":"b","n":2}],"empty":{},"nothing":[],
			"twice":1,"twice":2,"data":{"qty":5},"a b":1}`),
	}
}

func TestMatch(t *testing.T) {
	for _, tc := range []struct{ yes, no string }{
		{`record.stream == "orders.eu"`, `record.stream != "orders.eu"`},
		{`record.partition == 3 && record.offset >= 42`, `record.offset > 42`},
		{`record.timestamp > timestamp("2026-01-31T12:00:00Z")`, `record.timestamp > timestamp("2026-01-31T12:00:01Z")`},
		{`record.timestamp.getFullYear() == 2026`, `record.timestamp == null`},
		{`has(record.timestamp) && record.timestamp < timestamp("2026-01-31T12:00:00Z") + duration("1s")`, `!has(record.timestamp)`},
		{`record.timestamp.getHours("Europe/Berlin") == 13`, `record.timestamp.getHours() == 13`},
		{`record.key == "ключ"`, `record.key == null`},
		{`record.key.startsWith("к") && has(record.key)`, `record.key.endsWith("к")`},
		{`record.headers.a == "1"`, `record.headers.a == "2"`},
		{`record.headers["content-type"].contains("plain")`, `record.headers.b == ""`},
		{`"a" in record.headers && !("b" in record.headers)`, `"b" in record.headers`},
		{`record.headers.nil == null && record.headers.binary == null`, `record.headers.nil == ""`},
		{`has(record.headers.nil) && !has(record.headers.b)`, `has(record.headers.b)`},
		{`record.headers.size() == 4`, `record.headers.size() == 5`},
		{`record.schema == "Order:1"`, `record.schema == "Order:2"`},
		{`record.schema.matches("^Order:[0-9]+$")`, `record.schema.matches("^Order$")`},
		{`record.data.qty > 3 && record.data.qty == 4`, `record.data.qty > 4`},
		{`record.data.qty == 4.0 && record.data.qty < 4.5`, `record.data.qty == 4.5`},
		{`record.data.whole == 4 && record.data.whole > 3`, `record.data.whole == 3`},
		{`record.data.price > 19 && record.data.price < 20`, `record.data.price == 19`},
		{`record.data.max == 9223372036854775807`, `record.data.max == 9223372036854775806`},
		{`record.data.id == 18446744073709551615u`, `record.data.id == 18446744073709551614u`},
		{`record.data.huge > 1e300 && record.data.large > 1e29`, `record.data.huge < 0`},
		{`record.data.small == -7`, `record.data.small >= 0`},
		{`record.data.price * 2.0 == 39.0`, `record.data.price * 2 > 38`},
		{`double(record.data.qty) * 1.5 == 6.0`, `record.data.qty * 1.5 == 6.0`},
		{`record.data.esc == "a\"\\é😀\uFFFD"`, `record.data.esc == ""`},
		{`record.data.yes`, `record.data.no`},
		{`!record.data.no`, `!record.data.yes`},
		{`record.data.none == null && has(record.data.none)`, `has(record.data.missing)`},
		{`record.data.list == [1, 2, "x", null, [3]]`, `record.data.list == [1, 2, "x", null, []]`},
		{`2 in record.data.list && record.data.list[4][0] == 3`, `4 in record.data.list`},
		{`record.data.s in ["x", "y"]`, `record.data.s in ["y"]`},
		{`record.data.items.exists(i, i.sku == "b" && i.n > 1)`, `record.data.items.exists(i, i.sku == "c")`},
		{`record.data.items.all(i, i.n > 0)`, `record.data.items.all(i, i.n > 1)`},
		{`record.data.items.exists_one(i, i.n == 2)`, `record.data.items.exists_one(i, i.n > 0)`},
		{`record.data.items.filter(i, i.n > 1).size() == 1`, `record.data.items.filter(i, i.n > 1).size() == 2`},
		{`record.data.items.filter(i, i.n > 1)[0].sku == "b"`, `record.data.items.filter(i, i.n > 9)[0].sku == "b"`},
		{`[record.data.qty, record.data.small].exists(n, n < 0)`, `[record.data.qty, record.data.small].all(n, n < 0)`},
		{`record.data.empty == {} && record.data.nothing == []`, `record.data.empty == {"a": 1}`},
		{`record.data.items[0] == {"n": 1, "sku": "a"}`, `record.data.items[0] == {"n": 1}`},
		{`record.data.twice == 2`, `record.data.twice == 1`},
		{`record.data.data.qty == 5`, `record.data.data.qty == 4`},
		{`record.data["a b"] == 1`, `record.data["a"] == 1`},
		{`.record.data.qty == 4`, `.record.data.qty == 5`},
		{`size(record.data) == 20`, `size(record.data) == 2`},
		{`record.data == record.data && type(record.data) == map`, `type(record.data) == list`},
		{`record.data.exists(name, name == "qty")`, `record.data.exists(name, name == "price2")`},
		{`record.data.qty > 3 ? record.data.yes : record.data.no`, `record.data.qty > 4 ? record.data.yes : record.data.no`},
		{`record.data.s + "y" == "xy"`, `record.data.s + "y" == "yx"`},
		{`record.data.s.matches("^[x]{1}$") && matches(record.data.s, "x")`, `record.data.s.matches("y")`},
	} {
		if f := compile(t, tc.yes); !f.Match(full()) {
			t.Errorf("%s does not match", f)
		}
		if f := compile(t, tc.no); f.Match(full()) {
			t.Errorf("%s matches", f)
		}
	}
}

// What is missing is null where the member may be, and an error elsewhere:
// then neither the expression nor its negation matches.
func TestMatchOfWhatIsMissing(t *testing.T) {
	tombstone := &stream.Record{Stream: "s", Key: []byte{0xff}}
	null := &stream.Record{Stream: "s", Data: []byte("null"), Value: []byte("null")}
	number := &stream.Record{Stream: "s", Data: []byte("5"), Value: []byte("5")}
	for _, tc := range []struct {
		text   string
		record *stream.Record
		want   bool
	}{
		{`record.key == null && !has(record.key)`, tombstone, true},
		{`record.key == null`, null, true},
		{`record.schema == null && !has(record.schema)`, tombstone, true},
		{`record.timestamp == null && !has(record.timestamp)`, tombstone, true},
		{`record.headers == {}`, tombstone, true},
		{`record.data == null`, tombstone, true},
		{`has(record.data)`, tombstone, false},
		{`record.data == null && has(record.data)`, null, true},
		{`record.data > 4`, number, true},
		{`record.data.qty > 4`, number, false},
		{`!(record.data.qty > 4)`, number, false},
		{`has(record.data.qty)`, tombstone, false},
		{`!has(record.data.qty) || record.data.qty > 4`, &stream.Record{Data: []byte("{}")}, true},
		{`record.key.startsWith("a")`, tombstone, false},
		{`!record.key.startsWith("a")`, tombstone, false},
		{`record.data`, number, false},
		{`record.data == 1`, &stream.Record{Data: []byte("not JSON")}, false},
		{`record.data.a / 0 == 1`, &stream.Record{Data: []byte(`{"a":1}`)}, false},
		{`record.data.a + 1 > 0`, &stream.Record{Data: []byte(`{"a":9223372036854775807}`)}, false},
	} {
		if got := compile(t, tc.text).Match(tc.record); got != tc.want {
			t.Errorf("%s: got %v", tc.text, got)
		}
	}
}

func TestFilterIsForSeveralAtOnce(t *testing.T) {
	f := compile(t, `record.data.items.exists(i, i.sku == record.key)`)
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			r := full()
			r.Key = []byte(string(rune('a' + n)))
			for range 500 {
				if got, want := f.Match(r), n < 2; got != want {
					t.Errorf("key %s: got %v", r.Key, got)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestCompileRefuses(t *testing.T) {
	for _, tc := range []struct{ text, message string }{
		{"", "the filter is empty"},
		{strings.Repeat(" ", filter.MaxLength) + "1", "longer than 4096 bytes"},
		{"\xff", "not UTF-8"},
		{`record.data.qty >`, "wrong at character 18: unexpected end"},
		{"true &&\n  record.x", "in line 2 at character 9: undefined field 'x' (record has stream, partition,"},
		{`recrd.key == "a"`, "at character 1: undeclared reference to 'recrd' (the one variable is record)"},
		{`record.dat == 1`, "undefined field 'dat' (record has"},
		{`record`, "record alone is no value"},
		{`dyn(record).data == 1`, "record alone is no value"},
		{`[1].all(record, true)`, "give the elements another name"},
		{`record.data.qty + 1`, "no condition, such as record.data.qty > 3: it gives int"},
		{`record.offset > "a"`, "at character 15: found no matching overload for '>' applied to '(int, string)'"},
		{`record.headers.a > 1`, "applied to '(string or null, int)'"},
		{`record.data.list.map(x, x) == []`, "there is no map(): use exists(), or filter()"},
		{`record.data.s.matches(record.key)`, "the pattern of matches() must be a literal string"},
		{`record.data.s.matches("(")`, "missing closing )"},
		{`matches(record.data.s, "[")`, "missing closing ]"},
		{`record.data.s.matches("((a{1,100}){1,9})")`, "the pattern is too large"},
		{`record.data.s.matches("\\pN{400}")`, "the pattern is too large"},
		{`timestamp("yesterday") == record.timestamp`, "invalid timestamp argument"},
		{`record.data.l.all(x, [x, x] == x)`, "may hold constants only"},
		{`record.data.l.filter(x, {"a": x} == x).size() > 1`, "may hold constants only"},
		{`google.protobuf.ListValue{values: []} == []`, "a filter cannot make messages"},
		{`[[[[1]]]].all(a, a.all(b, b.all(c, c.all(d, d == 1))))`, "comprehension exceeds nesting limit"},
		{strings.Repeat("(", 1000) + "true" + strings.Repeat(")", 1000), "nested more than 48 deep"},
		{strings.Repeat("1+", 1000) + "1 == 1", "nested more than 48 deep"},
	} {
		_, err := compiler(t).Compile(tc.text)
		if stream.CodeOf(err) != stream.InvalidRequest {
			t.Errorf("%.60q: got %v", tc.text, err)
			continue
		}
		message := err.(*stream.Error).Message
		if !strings.Contains(message, tc.message) || len(message) > 1000 {
			t.Errorf("%.60q: got %q, want %q", tc.text, message, tc.message)
		}
	}
}
