package schemastore_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sluice/internal/schemastore"
	"sluice/internal/stream"
)

// differsOnPurpose lists the tests of the official suite where the gateway
// decides otherwise, with the reason. It is checked both ways.
var differsOnPurpose = func() map[string]string {
	tests := map[string]string{}
	// Draft 2020-12 leaves it to the implementation whether formats are asserted.
	for _, format := range []string{
		"date", "date-time", "duration", "email", "hostname", "idn-email", "idn-hostname", "ipv4", "ipv6", "iri", "iri-reference", "json-pointer",
		"regex", "relative-json-pointer", "time", "uri", "uri-reference", "uri-template", "uuid",
	} {
		name := "draft2020-12/format/" + format + " format/invalid " + format + " string is only an annotation by default"
		tests[name] = "formats are asserted"
	}
	return tests
}()

type suiteGroup struct {
	File        string          `json:"-"`
	Description string          `json:"description"`
	Schema      json.RawMessage `json:"schema"`
	Tests       []suiteTest     `json:"tests"`
}

type suiteTest struct {
	Description string          `json:"description"`
	Data        json.RawMessage `json:"data"`
	Valid       bool            `json:"valid"`
}

var suiteDrafts = []struct {
	name  string
	draft *jsonschema.Draft
	tests int // required ones, as counted once: fewer would mean that some were not read
}{
	{"draft4", jsonschema.Draft4, 618},
	{"draft6", jsonschema.Draft6, 839},
	{"draft7", jsonschema.Draft7, 927},
	{"draft2019-09", jsonschema.Draft2019, 1259},
	{"draft2020-12", jsonschema.Draft2020, 1299},
}

// TestSuite runs the required tests of the official JSON Schema test suite
// through Compile and Validate.
func TestSuite(t *testing.T) {
	root := suiteRoot(t)
	remotes := suiteRemotes(t, root)
	seen := map[string]bool{}
	for _, d := range suiteDrafts {
		t.Run(d.name, func(t *testing.T) {
			ran := 0
			for _, group := range suiteGroups(t, root, d.name) {
				name := d.name + "/" + group.File + "/" + group.Description
				ran += len(group.Tests)
				v, err := schemastore.CompileForTest(group.Schema, d.draft, remotes)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				for _, test := range group.Tests {
					name := name + "/" + test.Description
					seen[name] = true
					checkTest(t, name, v, test)
				}
			}
			if ran != d.tests {
				t.Errorf("ran %d tests, want %d", ran, d.tests)
			}
		})
	}
	for name := range differsOnPurpose {
		if !seen[name] {
			t.Errorf("listed as different, but not in the suite: %s", name)
		}
	}
}

func checkTest(t *testing.T, name string, v *schemastore.Validator, test suiteTest) {
	t.Helper()
	want := test.Valid
	if _, differs := differsOnPurpose[name]; differs {
		want = !want
	}
	err := v.Validate(test.Data)
	switch {
	case want && err != nil:
		t.Errorf("%s: got %v, want it accepted", name, err)
	case !want && stream.CodeOf(err) != stream.SchemaViolation:
		t.Errorf("%s: got %v, want %s", name, err, stream.SchemaViolation)
	}
}

// suiteRoot finds the suite, which is not part of the repository.
func suiteRoot(t testing.TB) string {
	t.Helper()
	root := os.Getenv("SLUICE_SCHEMA_SUITE")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "json-schema-test-suite")
	}
	if _, err := os.Stat(filepath.Join(root, "tests")); err != nil {
		const notice = "the official JSON Schema test suite is not here: check out github.com/json-schema-org/JSON-Schema-Test-Suite and set SLUICE_SCHEMA_SUITE to it"
		if os.Getenv("SLUICE_TEST_NO_SKIP") == "1" {
			t.Fatal(notice)
		}
		t.Skip("NOT TESTED: " + notice)
	}
	return root
}

func suiteGroups(t testing.TB, root, draft string) []suiteGroup {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "tests", draft, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []suiteGroup
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var groups []suiteGroup
		if err := json.Unmarshal(text, &groups); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, g := range groups {
			g.File = strings.TrimSuffix(filepath.Base(file), ".json")
			all = append(all, g)
		}
	}
	return all
}

// suiteRemotes loads the documents that the suite expects under localhost:1234.
func suiteRemotes(t testing.TB, root string) map[string]any {
	t.Helper()
	remotes := map[string]any{}
	dir := filepath.Join(root, "remotes")
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		remotes["http://localhost:1234/"+filepath.ToSlash(name)] = doc
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return remotes
}
