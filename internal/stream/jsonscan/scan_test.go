package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"sluice/internal/stream/jsonscan"
)

const levels = 128

// scan says whether data is certainly one value.
func scan(data []byte) bool {
	var s jsonscan.Scanner
	s.Reset(data)
	end := s.Value(s.Space(0), levels)
	return end >= 0 && s.Rest(end)
}

// strict says the same by a full decoder.
func strict(data []byte) bool {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	if _, err := d.ReadValue(); err != nil {
		return false
	}
	_, err := d.ReadToken()
	return errors.Is(err, io.EOF)
}

var (
	usual = []string{
		`null`, ` true `, `false`, `0`, `-0`, `-12.50e+7`, `1E9`, `""`, `"a\"\\\/\b\f\n\r\t\u00e9"`, `"\ud83d\ude00"`, `"é"`, `"日本語 and plain text behind it"`,
		`[]`, `[ 1 , [ ] , { } ]`, `{"a":{"a":1},"b":[{"a":1},{"a":1}]}`, "{ \"a\" :\t1 ,\r\n\"é\": 2 }", strings.Repeat("[", levels) + strings.Repeat("]", levels),
		`"` + strings.Repeat("x", 1000) + `"`, strings.Repeat("9", 400),
	}
	wrong = []string{
		``, ` `, `nul`, `truee`, `01`, `-`, `+1`, `.5`, `1.`, `1e`, `1e+`, `0x1`, `"`, `"\`, `"\x"`, `"\u12"`, `"\u12g4"`, `"\ud800"`, `"\ud800\u0041"`, `"\udc00"`, "\"\x1f\"", "\"\xff\"", "\"\xed\xa0\x80\"", "\"\\n\xff\"",
		`[`, `[1`, `[1,`, `[1,]`, `[,1]`, `[1 2]`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{a:1}`, `{"a" 1}`, `{"a":1 "b":2}`, `{"a":1,"a":2}`, `{"aaaaaaaaaaaaaaaaa":1,"b":1,"aaaaaaaaaaaaaaaaa":2}`, `1 2`, `[]]`, "\xEF\xBB\xBF1", "1\x00", `'a'`,
	}
	unusual = []string{
		`{"\u0061":1}`, `1e400`, strings.Repeat("9", 401), strings.Repeat("[", levels+1) + strings.Repeat("]", levels+1),
	}
)

func TestScanner(t *testing.T) {
	for _, text := range usual {
		if !scan([]byte(text)) || !strict([]byte(text)) {
			t.Errorf("%.100s: scanned %v, decoded %v, want both", text, scan([]byte(text)), strict([]byte(text)))
		}
		for cut := range len(text) { // whatever is cut off, it is no more than a decoder takes
			if part := []byte(text[:cut]); scan(part) && !strict(part) {
				t.Errorf("%.100s is no value", part)
			}
		}
	}
	for _, text := range wrong {
		if scan([]byte(text)) || strict([]byte(text)) {
			t.Errorf("%q: scanned %v, decoded %v, want neither", text, scan([]byte(text)), strict([]byte(text)))
		}
	}
	for _, text := range unusual {
		if scan([]byte(text)) || !strict([]byte(text)) {
			t.Errorf("%.100q: scanned %v, decoded %v, want the second alone", text, scan([]byte(text)), strict([]byte(text)))
		}
	}
}

// A string is found whatever stands at which of its places.
func TestScannerFindsEachByte(t *testing.T) {
	for length := range 20 {
		for at := range length {
			for c := range 256 {
				text := bytes.Repeat([]byte("x"), length)
				text[at] = byte(c)
				data := append(append([]byte{'"'}, text...), '"')
				if got, want := scan(data), strict(data); got != want {
					t.Fatalf("%q: scanned %v, decoded %v", data, got, want)
				}
			}
		}
	}
}

// Many names in one object are compared, up to a limit.
func TestScannerNames(t *testing.T) {
	object := func(n int) []byte {
		names := map[string]int{}
		for i := range n {
			names[strings.Repeat("n", i+1)] = i
		}
		text, err := json.Marshal(names)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if !scan(object(128)) || scan(object(129)) {
		t.Error("the limit is not 128")
	}
}

// FuzzScanner: what the scanner passes, a full decoder passes.
func FuzzScanner(f *testing.F) {
	for _, text := range append(append(usual, wrong...), unusual...) {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if scan(data) && !strict(data) {
			t.Errorf("%q is no JSON", data)
		}
	})
}

func BenchmarkScanner(b *testing.B) {
	data := []byte(`{"id":1234567,"name":"A customer's name, not short","amount":1299.95,"currency":"EUR","paid":true,"items":[{"sku":"AB-1","n":2},{"sku":"CD-2","n":1}],"note":"what people write into such a field..."}`)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	var s jsonscan.Scanner
	for b.Loop() {
		s.Reset(data)
		if s.Value(0, levels) < 0 {
			b.Fatal("refused")
		}
	}
}
