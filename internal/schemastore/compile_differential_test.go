package schemastore_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/xeipuuv/gojsonschema"

	"sluice/internal/schemastore"
)

// unsurvivable are schemas the second engine is not asked about: references
// may lead back to themselves, which overflows its stack and ends the process,
// or to other documents, which it fetches.
var unsurvivable = regexp.MustCompile(`"\$ref"|"\$?id"`)

// knownFlaw says why the second engine's answer does not count.
func knownFlaw(schema, data []byte) string {
	var number json.Number
	if bytes.Contains(schema, []byte(`"format"`)) && json.Unmarshal(data, &number) == nil && data[0] != '"' {
		return "it checks numbers against formats of strings"
	}
	return ""
}

// TestSecondOpinion asks gojsonschema, an engine of other descent, about the
// suite's schemas for the drafts it knows, each with all data of its file: far
// more pairs than the suite has verdicts on. Any difference is a failure.
func TestSecondOpinion(t *testing.T) {
	root := suiteRoot(t)
	asked, flawed, refused := 0, 0, 0
	for _, d := range []struct {
		name   string
		draft  *jsonschema.Draft
		second gojsonschema.Draft
	}{{"draft4", jsonschema.Draft4, gojsonschema.Draft4}, {"draft6", jsonschema.Draft6, gojsonschema.Draft6}, {"draft7", jsonschema.Draft7, gojsonschema.Draft7}} {
		groups := suiteGroups(t, root, d.name)
		data := map[string][]json.RawMessage{}
		for _, group := range groups {
			for _, test := range group.Tests {
				data[group.File] = append(data[group.File], test.Data)
			}
		}
		for _, group := range groups {
			if unsurvivable.Match(group.Schema) {
				continue
			}
			name := d.name + "/" + group.File + "/" + group.Description
			v, err := schemastore.CompileForTest(group.Schema, d.draft, nil)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			second, err := secondOpinion(group.Schema, d.second)
			if err != nil {
				refused++
				continue
			}
			for _, datum := range data[group.File] {
				theirs, err := second(datum)
				if err != nil || knownFlaw(group.Schema, datum) != "" {
					flawed++
					continue
				}
				asked++
				if ours := v.Validate(datum) == nil; ours != theirs {
					t.Errorf("%s: %s on %.200s: ours %v, theirs %v", name, group.Schema, datum, ours, theirs)
				}
			}
		}
	}
	t.Logf("%d pairs compared; left out: %d for a known flaw, and %d schemas the second engine refuses", asked, flawed, refused)
	if asked < 16_000 || refused > 20 {
		t.Error("the second engine was hardly asked")
	}
}

// secondOpinion compiles with gojsonschema. It panics on some input.
func secondOpinion(schema json.RawMessage, draft gojsonschema.Draft) (check func(data []byte) (bool, error), err error) {
	defer recovered(&err)
	loader := gojsonschema.NewSchemaLoader()
	loader.Draft, loader.AutoDetect = draft, false
	s, err := loader.Compile(gojsonschema.NewBytesLoader(schema))
	if err != nil {
		return nil, err
	}
	return func(data []byte) (valid bool, err error) {
		defer recovered(&err)
		result, err := s.Validate(gojsonschema.NewBytesLoader(data))
		if err != nil {
			return false, err
		}
		return result.Valid(), nil
	}, nil
}

func recovered(err *error) {
	if r := recover(); r != nil {
		*err = errors.New("panic")
	}
}
