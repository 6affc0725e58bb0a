package schemastore_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sluice/internal/schemastore"
	"sluice/internal/stream"
)

// TestPatterns: patterns mean what ECMA-262 says, or are refused.
func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern   string
		good, bad []string
	}{
		{`^\s$`, []string{" ", "\t", "\v", "\u00a0", "\u2029", "\ufeff"}, []string{"x", "\u200b"}},
		{`^\S$`, []string{"x", "\u200b", "\x00"}, []string{" ", "\v", "\u3000"}},
		{`^[\s-x]$`, []string{" ", "-", "x"}, []string{"y"}},
		{`^[^\S]$`, []string{" ", "\u00a0"}, []string{"y"}},
		{`^[\s-]$`, []string{" ", "-"}, []string{"y"}},
		{`^.$`, []string{"x", "é", "\v"}, []string{"\n", "\r", "\u2028", "xx"}},
		{`^\u00e9\u{1F600}\ud83d\ude00$`, []string{"é😀😀"}, []string{"e"}},
		{`^\cC$`, []string{"\x03"}, []string{"C"}},
		{`^[\b]$`, []string{"\b"}, []string{"b"}},
		{`^\0$`, []string{"\x00"}, []string{"0"}},
		{`^[^]$`, []string{"\n", "x"}, []string{""}},
		{`^[]$`, nil, []string{"", "]"}},
		{`^[[:alpha:]]$`, []string{"a]", ":]", "[]"}, []string{"b"}},
		{`^\p{Letter}\p{Script=Greek}\p{gc=Nd}$`, []string{"éα1"}, []string{"1α1"}},
		{`^\w\d\/\-$`, []string{"a1/-"}, []string{"é1/-", "a١/-"}},
		{`^(?<year>\d{4})$`, []string{"2026"}, []string{"26"}},
		{`(?s)^a.b$`, []string{"a\nb"}, []string{"ab"}},
		{`é`, []string{"café"}, []string{"cafe"}},
		{`^abc$`, []string{"abc"}, []string{"abc\n"}},
	} {
		schema, err := json.Marshal(map[string]string{"pattern": c.pattern})
		if err != nil {
			t.Fatal(err)
		}
		for valid, list := range map[bool][]string{true: c.good, false: c.bad} {
			for _, s := range list {
				data, err := json.Marshal(s)
				if err != nil {
					t.Fatal(err)
				}
				if e := validate(t, string(schema), string(data)); (e == nil) != valid {
					t.Errorf("%s on %q: got %v", c.pattern, s, e)
				}
			}
		}
	}
}

func TestPatternsRefused(t *testing.T) {
	for _, pattern := range []string{
		`(?=x)`, `(?!x)`, `(?<=x)y`, `(?<!x)y`, `(a)\1`, `(a)\12`, `(?<n>a)\k<n>`, `\Qa\E`, `\a`, `\c1`, `\u12`, `\ud83d`, `\u{110000}`,
		`\p{Nope}`, `\p{Script_Extensions=Greek}`, `\pL`, `a{2000}`, `(`, `[`, `\`, `a**`, `x++`, `((a{100}){100}){100}`,
	} {
		schema, err := json.Marshal(map[string]string{"pattern": pattern})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := schemastore.Compile(schema); stream.CodeOf(err) != stream.InvalidSchema {
			t.Errorf("%s: got %v", pattern, err)
		}
	}
}

// TestOptionalPatterns runs the suite's tests on ECMA-262's patterns, which are
// optional.
func TestOptionalPatterns(t *testing.T) {
	root := suiteRoot(t)
	for draft, version := range map[string]*jsonschema.Draft{"draft7": jsonschema.Draft7, "draft2020-12": jsonschema.Draft2020} {
		for _, file := range []string{"ecmascript-regex.json", "non-bmp-regex.json"} {
			text, err := os.ReadFile(filepath.Join(root, "tests", draft, "optional", file))
			if err != nil {
				t.Fatal(err)
			}
			var groups []suiteGroup
			if err := json.Unmarshal(text, &groups); err != nil {
				t.Fatal(err)
			}
			for _, group := range groups {
				v, err := schemastore.CompileForTest(group.Schema, version, nil)
				if err != nil {
					t.Errorf("%s: %s: %v", draft, group.Description, err)
					continue
				}
				for _, test := range group.Tests {
					checkTest(t, draft+"/optional/"+group.Description+"/"+test.Description, v, test)
				}
			}
		}
	}
}
