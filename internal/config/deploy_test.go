package config_test

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/config"
)

const documented = "../../deploy/gateway.yaml"

func readDocumented(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(documented)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// uncomment makes keys of the examples: lines with "#" right before a name.
func uncomment(text string) string {
	return regexp.MustCompile(`(?m)^( *)#([a-z])`).ReplaceAllString(text, "$1$2")
}

func TestDocumentedValuesAreTheDefaults(t *testing.T) {
	inv, problems := load(t, nil, nil, readDocumented(t))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Default(), inv.Config, cmpopts.IgnoreUnexported(config.Config{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("deploy/gateway.yaml differs from the defaults:\n%s", diff)
	}
}

func TestDocumentedKeysAreAll(t *testing.T) {
	inv, problems := load(t, nil, nil, uncomment(readDocumented(t)))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	keys := keysOf("", reflect.TypeFor[config.Config]())
	if len(keys) < 60 {
		t.Errorf("only %d keys were found to look for", len(keys))
	}
	for _, key := range keys {
		if !inv.Config.Explicit(key) {
			t.Errorf("deploy/gateway.yaml lacks %s", key)
		}
	}
}

// keysOf walks the tags by itself, so that a key the loader overlooks is missed
// here.
func keysOf(path string, t reflect.Type) []string {
	var keys []string
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		key := strings.TrimPrefix(path+"."+name, ".")
		switch {
		case !f.IsExported():
		case name == "":
			keys = append(keys, keysOf(path, inner)...)
		case inner.Kind() == reflect.Struct:
			keys = append(keys, keysOf(key, inner)...)
		default:
			keys = append(keys, key)
		}
	}
	return keys
}
