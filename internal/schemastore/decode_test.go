package schemastore_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"sluice/internal/schemastore"
	"sluice/internal/stream"
)

// TestCheckJSON: what is one JSON text, what is not, and what is too much.
// CheckJSON and Validate agree.
func TestCheckJSON(t *testing.T) {
	anything, err := schemastore.Compile(json.RawMessage(`true`))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data string
		want stream.Code
		says string // part of the message
	}{
		"object":                 {` {"a":[1,2.5,-0,1e10,"x",true,false,null]} `, "", ""},
		"scalar":                 {`"text"`, "", ""},
		"surrogate pair":         {`"\ud83d\ude00"`, "", ""},
		"empty":                  {``, stream.MalformedJSON, "empty"},
		"white space":            {" \n\t", stream.MalformedJSON, "empty"},
		"byte order mark":        {"\xEF\xBB\xBF{}", stream.MalformedJSON, "byte order mark"},
		"trailing data":          {"{}\n\n {}", stream.MalformedJSON, "line 3, column 2 (byte 5)"},
		"trailing brace":         {`{}}`, stream.MalformedJSON, "byte 2"},
		"cut off":                {`{"a":[1,`, stream.MalformedJSON, "cut off"},
		"cut off in a string":    {`"abc`, stream.MalformedJSON, "cut off"},
		"bad syntax":             {"{\n  \"a\": x}", stream.MalformedJSON, "line 2, column 8 (byte 9)"},
		"trailing comma":         {`[1,]`, stream.MalformedJSON, "byte 2"},
		"single quotes":          {`{'a':1}`, stream.MalformedJSON, "byte 1"},
		"NaN":                    {`NaN`, stream.MalformedJSON, ""},
		"leading zero":           {`01`, stream.MalformedJSON, ""},
		"plus":                   {`+1`, stream.MalformedJSON, ""},
		"control character":      {"\"a\x01\"", stream.MalformedJSON, ""},
		"NUL after":              {"[1]\x00", stream.MalformedJSON, "byte 3"},
		"bad UTF-8":              {"\"a\xff\"", stream.MalformedJSON, "UTF-8"},
		"bad UTF-8 in a name":    {"{\"a\xff\":1}", stream.MalformedJSON, "UTF-8"},
		"lone surrogate":         {`"\ud800"`, stream.MalformedJSON, ""},
		"duplicate name":         {`{"a":1,"b":{"c":1,"c":2}}`, stream.MalformedJSON, "twice"},
		"duplicate, escaped":     {`{"a":1,"\u0061":2}`, stream.MalformedJSON, "twice"},
		"128 deep":               {nest(128, `[`, ``, `]`), "", ""},
		"129 deep":               {nest(129, `[`, ``, `]`), stream.InvalidRecord, "128"},
		"129 deep, objects":      {nest(129, `{"a":`, `1`, `}`), stream.InvalidRecord, "128"},
		"100,000 deep":           {nest(100_000, `{"a":`, `1`, `}`), stream.InvalidRecord, "128"},
		"100,000 open":           {strings.Repeat(`[`, 100_000), stream.InvalidRecord, "128"},
		"400 digits":             {strings.Repeat("1", 400), "", ""},
		"401 digits":             {strings.Repeat("1", 401), stream.InvalidRecord, "400"},
		"a million digits":       {strings.Repeat("1", 1_000_000), stream.InvalidRecord, "400"},
		"exponent 400":           {`[1e400,1E-400,1e+0400]`, "", ""},
		"exponent 401":           {`1e401`, stream.InvalidRecord, "exponent"},
		"exponent -401":          {`1e-401`, stream.InvalidRecord, "exponent"},
		"exponent past a word":   {`1e99999999999999999999`, stream.InvalidRecord, "exponent"},
		"the engine's panic":     {`[1e400000000]`, stream.InvalidRecord, "exponent"},
		"a thousand of 1e999999": {`[` + strings.Repeat(`1e999999,`, 999) + `1e999999]`, stream.InvalidRecord, "exponent"},
	} {
		t.Run(name, func(t *testing.T) {
			for how, err := range map[string]error{"CheckJSON": schemastore.CheckJSON([]byte(c.data)), "Validate": anything.Validate([]byte(c.data))} {
				if got := stream.CodeOf(err); got != c.want {
					t.Errorf("%s: got %q (%v), want %q", how, got, err, c.want)
					continue
				}
				if e, ok := err.(*stream.Error); ok && !strings.Contains(e.Message, c.says) {
					t.Errorf("%s: %q does not say %q", how, e.Message, c.says)
				}
				checkSize(t, err)
			}
		})
	}
}

// TestMalformedPointers: a fault below the root says where it is.
func TestMalformedPointers(t *testing.T) {
	for data, want := range map[string]string{
		`{"a":{"b/c":1,"b/c":2}}`: "#/a/b~1c",
		`{"a":[0,{"n":1e999}]}`:   "#/a/1/n",
	} {
		e, ok := schemastore.CheckJSON([]byte(data)).(*stream.Error)
		if !ok || len(e.Violations) != 1 || e.Violations[0].Pointer != want {
			t.Errorf("%s: got %+v, want %s", data, e, want)
		}
	}
}

// TestLongNamesAreNotEchoed also in the words of a syntax error.
func TestLongNamesAreNotEchoed(t *testing.T) {
	name := strings.Repeat("n", 1<<20)
	for _, data := range []string{
		`{"` + name + `":1,"` + name + `":2}`,
		`{"` + name + `":1e999}`,
		`{"` + name + `":x}`,
	} {
		err := schemastore.CheckJSON([]byte(data))
		if err == nil {
			t.Fatal("accepted")
		}
		if len(err.(*stream.Error).Message) > 1000 {
			t.Errorf("%d bytes of message", len(err.(*stream.Error).Message))
		}
		checkSize(t, err)
	}
}

// TestDecodeIsExact: the values are those of encoding/json, numbers to the digit.
func TestDecodeIsExact(t *testing.T) {
	const text = `{"a":[1,-7,0,-0,123456789012345678,1234567890123456789,1.50,1e5,-1E-5],"b":{"é\n\"":"\u00e9\ud83d\ude00"},"c":[],"d":{},"e":[true,false,null]}`
	decode := schemastore.DecoderForTest()
	for range 2 { // the second time with names it remembers
		v, err := decode([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if !schemastore.EqualJSON([]byte(text), again) {
			t.Errorf("got %s", again)
		}
	}
	v, err := decode([]byte(`[123456789012345678,1234567890123456789,1.50]`))
	if err != nil {
		t.Fatal(err)
	}
	got := v.([]any)
	if got[0] != int64(123456789012345678) || got[1] != json.Number("1234567890123456789") || got[2] != json.Number("1.50") {
		t.Errorf("got %#v", got)
	}
}

// FuzzCheckJSON: CheckJSON accepts nothing that encoding/json does not. It is
// stricter on purpose: duplicate names, invalid UTF-8, lone surrogates, depth,
// and long numbers, all of which encoding/json lets pass.
func FuzzCheckJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,"x",null]}`, `{"a":1,"a":2}`, "\"\xff\"", `"\ud800"`, `1e999`, `[[[`, ` 1 `, `{}x`, ``} {
		f.Add([]byte(seed))
	}
	decode := schemastore.DecoderForTest()
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		err := schemastore.CheckJSON(data)
		v, decodeErr := decode(data)
		if (err == nil) != (decodeErr == nil) {
			t.Fatalf("CheckJSON: %v, decode: %v", err, decodeErr)
		}
		if err == nil {
			if !json.Valid(data) {
				t.Fatal("encoding/json does not take it")
			}
			again, err := json.Marshal(v)
			if err != nil || !schemastore.EqualJSON(data, again) {
				t.Fatalf("decoded as %s: %v", again, err)
			}
		} else if json.Valid(data) && !stricter(data, stream.CodeOf(err)) {
			t.Fatalf("refused without reason: %v", err)
		}
		if took := time.Since(start); took > enough {
			t.Fatalf("took %v", took)
		}
	})
}

// stricter says whether we may refuse what encoding/json takes.
func stricter(data []byte, code stream.Code) bool {
	if code == stream.InvalidRecord {
		return true
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return true
	}
	// Lost names are duplicates; replaced characters were no UTF-8 or lone
	// surrogates.
	again, err := json.Marshal(v)
	return err != nil || bytes.ContainsRune(again, '\uFFFD') || bytes.Count(again, []byte(":")) < bytes.Count(data, []byte(":"))
}
