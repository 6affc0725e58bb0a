package schemastore_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sluice/internal/schemastore"
)

// formatGaps counts, by file of the suite, invalid values that pass: names are
// checked for their letters and not for what their Punycode stands for, and
// patterns may be Python's where the meaning is the same.
var formatGaps = map[string]int{"hostname": 23, "idn-hostname": 29, "ecmascript-regex": 3}

// validRefused lists the valid values that are refused.
var validRefused = map[string]bool{
	"ecmascript-regex/an ECMA 262 named backreference \\k<name>":      true, // RE2 cannot run it
	"ecmascript-regex/a variable-width lookbehind (ES2018)":           true, // nor this
	"iri/an IPvFuture host with an uppercase version letter is valid": true,
}

// TestFormats runs the suite's tests of formats, which are optional.
func TestFormats(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(suiteRoot(t), "tests", "draft2020-12", "optional", "format", "*.json"))
	if err != nil || len(files) < 15 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	refused := map[string]bool{}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var groups []suiteGroup
		if err := json.Unmarshal(text, &groups); err != nil {
			t.Fatal(err)
		}
		file, gaps := strings.TrimSuffix(filepath.Base(path), ".json"), 0
		for _, group := range groups {
			v, err := schemastore.CompileForTest(group.Schema, jsonschema.Draft2020, nil)
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			for _, test := range group.Tests {
				valid := v.Validate(test.Data) == nil
				name := file + "/" + test.Description
				switch {
				case valid && !test.Valid:
					gaps++
					if formatGaps[file] == 0 {
						t.Errorf("%s: %s passes", name, test.Data)
					}
				case !valid && test.Valid:
					refused[name] = true
					if !validRefused[name] {
						t.Errorf("%s: %s is refused", name, test.Data)
					}
				}
			}
		}
		if gaps != formatGaps[file] {
			t.Errorf("%s: %d invalid values pass, want %d", file, gaps, formatGaps[file])
		}
	}
	for name := range validRefused {
		if !refused[name] {
			t.Errorf("%s: listed as refused, and is not", name)
		}
	}
}
