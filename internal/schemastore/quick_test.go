package schemastore_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"sluice/internal/schemastore"
	"sluice/internal/stream"
)

// opinions counts how often the rules and the engine were compared.
type opinions struct{ asked, accepted, quick int }

// compare fails when the rules accept what the engine does not. What the engine
// refuses for the work it takes it has no opinion on.
func (o *opinions) compare(t *testing.T, v *schemastore.Validator, schema, data []byte) {
	t.Helper()
	quick, err := schemastore.OpinionsForTest(v, data)
	o.asked++
	if err == nil {
		o.accepted++
	}
	if !quick {
		return
	}
	o.quick++
	if err != nil && !strings.Contains(err.Error(), "too many steps") {
		t.Errorf("the rules accept what the engine refuses\nschema: %.2000s\ndata: %.500q\nengine: %v", schema, data, err)
	}
}

// The rules agree with the engine on the whole official suite, and on its schemas
// with other data of the suite.
func TestRulesAgreeOnTheSuite(t *testing.T) {
	root := suiteRoot(t)
	remotes := suiteRemotes(t, root)
	var o opinions
	for _, d := range suiteDrafts {
		groups := suiteGroups(t, root, d.name)
		data := map[string][]json.RawMessage{}
		for _, group := range groups {
			for i, test := range group.Tests {
				data[group.File] = append(data[group.File], test.Data)
				if i%150 == 0 {
					data[""] = append(data[""], test.Data)
				}
			}
		}
		for i, group := range groups {
			v, err := schemastore.CompileForTest(group.Schema, d.draft, remotes)
			if err != nil {
				t.Fatal(err)
			}
			for _, test := range group.Tests {
				o.compare(t, v, group.Schema, test.Data)
			}
			for j, datum := range append(data[group.File], data[""]...) {
				if i%4 == j%4 { // all of them take long
					o.compare(t, v, group.Schema, datum)
				}
			}
		}
	}
	t.Logf("%d pairs, %d accepted, %d by the rules", o.asked, o.accepted, o.quick)
	if o.asked < 20_000 || o.quick < o.accepted/2 {
		t.Error("the rules were hardly asked, or hardly answered")
	}
}

// The rules agree with the engine on schemas and data made at random.
func TestRulesAgreeOnRandomSchemas(t *testing.T) {
	var o opinions
	drafts := []string{"http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-06/schema#", "http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2019-09/schema", "https://json-schema.org/draft/2020-12/schema"}
	for seed := range uint64(800) {
		m := maker{rand.New(rand.NewPCG(seed, 1))}
		root := m.schema(4)
		root["$schema"] = drafts[seed%uint64(len(drafts))]
		root["$defs"] = map[string]any{"a": m.schema(2), "b": m.schema(2)}
		schema, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		v, err := schemastore.Compile(schema)
		if err != nil {
			continue // not all that is made at random is a schema
		}
		for range 60 {
			o.compare(t, v, schema, m.text(4))
		}
	}
	t.Logf("%d pairs, %d accepted, %d by the rules", o.asked, o.accepted, o.quick)
	if o.asked < 15_000 || o.quick < o.accepted/3 {
		t.Error("the rules were hardly asked, or hardly answered")
	}
}

// maker makes schemas and data of few words, so that they often meet.
type maker struct{ *rand.Rand }

func (m maker) of(words ...string) string { return words[m.IntN(len(words))] }

func (m maker) schema(depth int) map[string]any {
	s := map[string]any{}
	for range 1 + m.IntN(4) {
		m.keyword(s, depth)
	}
	return s
}

func (m maker) schemas(depth int) []any {
	var all []any
	for range 1 + m.IntN(3) {
		all = append(all, m.schema(depth))
	}
	return all
}

// keyword adds one keyword.
func (m maker) keyword(s map[string]any, depth int) {
	kind := m.IntN(26)
	if depth == 0 {
		kind = m.IntN(12)
	}
	switch kind {
	case 0, 1:
		s["type"] = m.of("null", "boolean", "number", "integer", "string", "array", "object", "object", "object")
	case 2:
		s["type"] = []any{m.of("null", "boolean", "number"), m.of("integer", "string", "array", "object")}
	case 3:
		s[m.of("minimum", "maximum")] = json.Number(m.number())
	case 4:
		s["multipleOf"] = json.Number(m.of("1", "2", "0.01", "0.3", "1e-3", "2.50", "1e17"))
	case 5:
		s[m.of("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")] = m.IntN(4)
	case 6:
		s["pattern"] = m.of("^a", "b$", "^\\S+$", "[é-ü]", "^.$")
	case 7:
		s["format"] = m.of("date-time", "date", "uuid", "email", "ipv4", "uri", "regex", "unknown")
	case 8:
		s["required"] = []any{m.of("a", "b"), "c"}
	case 9:
		s["enum"] = []any{json.RawMessage(m.value(1)), json.RawMessage(m.value(0)), m.of("a", "b", "é")}
	case 10:
		s["const"] = json.RawMessage(m.value(m.IntN(2)))
	case 11:
		s["uniqueItems"] = true
	case 12, 13, 14:
		s["properties"] = map[string]any{"a": m.schema(depth - 1), m.of("b", "c", "é", "d~/"): m.schema(depth - 1)}
	case 15:
		s["patternProperties"] = map[string]any{m.of("^a", "b|c", "."): m.schema(depth - 1)}
	case 16:
		s["additionalProperties"] = m.either(depth)
	case 17:
		s["items"] = m.schema(depth - 1)
	case 18:
		s[m.of("items", "prefixItems")], s["additionalItems"] = m.schemas(depth-1), m.either(depth)
	case 19:
		s["allOf"] = m.schemas(depth - 1)
	case 20:
		s["anyOf"] = m.schemas(depth - 1)
	case 21:
		s["oneOf"] = m.schemas(depth - 1)
	case 22:
		s["not"] = m.schema(depth - 1)
	case 23:
		s["if"], s[m.of("then", "else")] = m.schema(depth-1), m.schema(depth-1)
	case 24:
		s["$ref"] = m.of("#/$defs/a", "#/$defs/b")
	case 25:
		s[m.of("contains", "propertyNames", "unevaluatedProperties", "unevaluatedItems")] = m.schema(depth - 1)
	}
}

func (m maker) either(depth int) any {
	if m.IntN(2) == 0 {
		return m.IntN(2) == 0
	}
	return m.schema(depth - 1)
}

func (m maker) number() string {
	return m.of("0", "-0", "1", "2", "3", "-1", "1.0", "1.5", "0.1", "0.30", "-2.50", "1e1", "1E-2", "100", "999999999999999999", "1000000000000000000", "123456789012345678901234567890", "0.000000000000000001", "1e399")
}

// text makes a JSON text, now and then a broken one.
func (m maker) text(depth int) []byte {
	text := m.value(depth)
	if m.IntN(40) == 0 {
		at := m.IntN(len(text) + 1)
		text = text[:at] + m.of("", ",", "\"", "\\", "}", " 1", "\x00", "\xff") + text[min(at+m.IntN(2), len(text)):]
	}
	return []byte(text)
}

func (m maker) value(depth int) string {
	kind := m.IntN(10)
	if depth == 0 {
		kind = m.IntN(6)
	}
	space := m.of("", "", " ", "\n\t")
	var parts []string
	switch kind {
	case 0:
		return m.of("null", "true", "false")
	case 1, 2:
		return m.number()
	case 3, 4, 5:
		return `"` + m.of("", "a", "b", "ab", "é", "\\n", "\\u00e9", "\\ud83d\\ude00", "😀", "2026-01-31", "2026-01-31T12:00:00Z", "2026-02-30T12:00:00Z", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "a@b.c", "1.2.3.4", "\\ud800", "a b") + `"`
	case 6, 7:
		for range m.IntN(4) {
			parts = append(parts, space+m.value(depth-1))
		}
		return "[" + strings.Join(parts, ",") + space + "]"
	}
	for range m.IntN(5) {
		parts = append(parts, fmt.Sprintf("%s%q%s:%s", space, m.of("a", "b", "c", "é", "d~/", "e", "f"), space, m.value(depth-1)))
	}
	if m.IntN(30) == 0 {
		parts = append(parts, `"\u0061":1`)
	}
	return "{" + strings.Join(parts, ",") + space + "}"
}

// FuzzRules: whatever schema and data, the rules accept nothing that the engine
// refuses.
func FuzzRules(f *testing.F) {
	f.Add([]byte(orderSchema), order(2))
	for seed := range uint64(30) {
		m := maker{rand.New(rand.NewPCG(seed, 2))}
		schema, err := json.Marshal(m.schema(3))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(schema, m.text(3))
	}
	f.Fuzz(func(t *testing.T, schema, data []byte) {
		if v, err := schemastore.Compile(schema); err == nil {
			new(opinions).compare(t, v, schema, data)
		}
	})
}

// Ordinary records of ordinary schemas are decided by the rules alone.
func TestRulesDecideOrdinaryRecords(t *testing.T) {
	for name, c := range map[string]struct{ schema, data string }{
		"an order":                      {orderSchema, string(order(3))},
		"escapes, other letters, space": {`{"properties":{"a":{"type":"string","maxLength":9}}}`, ` { "a" : "é\n\"\u00e9\ud83d\ude00" , "b" : [ true , null ] } `},
		"decimals":                      {`{"items":{"type":"number","minimum":-0.5,"exclusiveMaximum":100.01,"multipleOf":0.01}}`, `[0,-0.50,99.99,1e1]`},
		"what pydantic makes":           {`{"$defs":{"I":{"properties":{"n":{"anyOf":[{"type":"integer"},{"type":"null"}],"default":null,"title":"N"}},"title":"I","type":"object"}},"properties":{"i":{"$ref":"#/$defs/I"},"k":{"discriminator":{"propertyName":"t"},"oneOf":[{"properties":{"t":{"const":"a"}},"required":["t"]},{"properties":{"t":{"const":"b"}},"required":["t"]}]}},"required":["i"],"type":"object"}`, `{"i":{"n":null},"k":{"t":"b"}}`},
		"a long enum":                   {`{"enum":["a","b","c","d","e","f","g","h","i","j"]}`, `"j"`},
		"many properties":               {`{"properties":{"j":{"minimum":10}},"additionalProperties":{"type":"integer"},"required":["a"]}`, `{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":10}`},
		"conditions":                    {`{"if":{"properties":{"a":{"const":1}},"required":["a"]},"then":{"required":["b"]},"else":{"required":["c"]},"not":{"required":["d"]}}`, `{"c":1}`},
		"draft 4":                       {`{"$schema":"http://json-schema.org/draft-04/schema#","items":[{"type":"string"}],"additionalItems":false,"uniqueItems":true}`, `["a"]`},
	} {
		v, err := schemastore.Compile(json.RawMessage(c.schema))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		quick, err := schemastore.OpinionsForTest(v, []byte(c.data))
		if !quick || err != nil {
			t.Errorf("%s: by the rules %v, by the engine %v", name, quick, err)
		}
	}
}

// The limits of texts hold in the rules, too.
func TestRulesKeepTheLimits(t *testing.T) {
	v, err := schemastore.Compile(json.RawMessage(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for data, want := range map[string]stream.Code{
		deep(schemastore.MaxDepth):                         "",
		deep(schemastore.MaxDepth + 1):                     stream.InvalidRecord,
		strings.Repeat("1", schemastore.MaxNumberLength):   "",
		strings.Repeat("1", schemastore.MaxNumberLength+1): stream.InvalidRecord,
		"1e400":               "",
		"1e401":               stream.InvalidRecord,
		`{"a":1,"a":1}`:       stream.MalformedJSON,
		`{"a":1,"\u0061":1}`:  stream.MalformedJSON,
		`{"a":{"a":1},"b":1}`: "",
		"\xEF\xBB\xBF1":       stream.MalformedJSON,
		"1 1":                 stream.MalformedJSON,
		"\"\xff\"":            stream.MalformedJSON,
		`"\ud800"`:            stream.MalformedJSON,
		"\"a\nb\"":            stream.MalformedJSON,
		"01":                  stream.MalformedJSON,
		"1.":                  stream.MalformedJSON,
		"[1,]":                stream.MalformedJSON,
		`{"a":1,}`:            stream.MalformedJSON,
		"":                    stream.MalformedJSON,
		"nul":                 stream.MalformedJSON,
	} {
		if got := stream.CodeOf(v.Validate([]byte(data))); got != want {
			t.Errorf("%.40q: got %q, want %q", data, got, want)
		}
	}
}

// Decimals agree with fractions of arbitrary size.
func TestDecimals(t *testing.T) {
	m := maker{rand.New(rand.NewPCG(1, 1))}
	literal := func() string {
		digits := fmt.Sprint(m.Uint64N(1_000_000_000_000_000_000) >> m.IntN(60))
		if places := m.IntN(len(digits)); places > 0 {
			digits = digits[:len(digits)-places] + "." + digits[len(digits)-places:]
		}
		return m.of("", "-") + digits
	}
	asked := 0
	for range 50_000 {
		a, b := literal(), literal()
		if m.IntN(4) == 0 && strings.Contains(a, ".") {
			b = a + m.of("", "0", "00")
		}
		order, multiple, known := schemastore.DecimalsForTest(a, b)
		x, _ := new(big.Rat).SetString(a)
		y, ok := new(big.Rat).SetString(b)
		if !known || !ok {
			continue
		}
		asked++
		if order != x.Cmp(y) || multiple != new(big.Rat).Quo(x, y).IsInt() {
			t.Fatalf("%s and %s: order %d, multiple %v", a, b, order, multiple)
		}
	}
	if asked < 20_000 {
		t.Errorf("only %d were compared", asked)
	}
}

// The rules know all that a node of the engine can say: a newer engine with
// another keyword must not be half-checked. Add new fields to the rules, or to
// what is beyond them, and then here.
func TestRulesKnowAllKeywords(t *testing.T) {
	known := strings.Fields(`up resource dynamicAnchors allPropsEvaluated allItemsEvaluated numItemsEvaluated DraftVersion Location
		Bool ID Ref Anchor RecursiveRef RecursiveAnchor DynamicRef DynamicAnchor Types Enum Const Not AllOf AnyOf OneOf If Then Else Format
		MaxProperties MinProperties Required PropertyNames Properties PatternProperties AdditionalProperties Dependencies DependentRequired DependentSchemas UnevaluatedProperties
		MinItems MaxItems UniqueItems Contains MinContains MaxContains Items AdditionalItems PrefixItems Items2020 UnevaluatedItems
		MinLength MaxLength Pattern ContentEncoding ContentMediaType ContentSchema Maximum Minimum ExclusiveMaximum ExclusiveMinimum MultipleOf Extensions
		Title Description Default Comment ReadOnly WriteOnly Examples Deprecated`)
	var fields []string
	for f := range reflect.TypeFor[jsonschema.Schema]().Fields() {
		fields = append(fields, f.Name)
	}
	if d := cmp.Diff(known, fields); d != "" {
		t.Error(d)
	}
}
