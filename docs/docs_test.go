// Package docs_test holds the documents to the truth: the README's commands
// print what it says, links lead somewhere, and the file map is of this tree.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
)

// root is the checkout, seen from here.
const root = ".."

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// walk calls visit with the path of each file of the tree, but for what is
// built, cached or test data.
func walk(t *testing.T, visit func(path string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != "." && (strings.HasPrefix(name, ".") || slices.Contains([]string{"bin", "data", "testdata"}, name)) {
			return fs.SkipDir
		}
		if !d.IsDir() {
			visit(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func exists(path string) bool {
	_, err := os.Stat(filepath.Join(root, path))
	return err == nil
}

func TestLinksResolve(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)]*)\)`)
	found := 0
	walk(t, func(path string) {
		if filepath.Ext(path) != ".md" {
			return
		}
		for _, m := range link.FindAllStringSubmatch(read(t, path), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || target == "" {
				continue
			}
			found++
			if !exists(filepath.Join(filepath.Dir(path), target)) {
				t.Errorf("%s links to %s, which is not there", path, m[1])
			}
		}
	})
	if found < 10 {
		t.Errorf("only %d links were found", found)
	}
}

func TestFlagsAreListed(t *testing.T) {
	_, flags, _ := strings.Cut(config.Usage, "\nFlags:\n")
	want := regexp.MustCompile(`(?m)^  --\S+`).FindAllString(flags, -1)
	for i := range want {
		want[i] = strings.TrimSpace(want[i])
	}
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(--[a-z-]+)").FindAllStringSubmatch(read(t, "README.md"), -1) {
		got = append(got, m[1])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flags of gateway help (-) and of the README (+):\n%s", diff)
	}
}

// TestFileMap: in the map a name of a directory says where the files after it
// are.
func TestFileMap(t *testing.T) {
	page := read(t, "docs/ARCHITECTURE.md")
	if n := strings.Count(page, "\n"); n > 150 {
		t.Errorf("the page has %d lines; it should be read at one sitting, 150 are the limit", n)
	}
	_, text, found := strings.Cut(page, "\n## File map\n")
	if !found {
		t.Fatal("there is no file map")
	}
	name, file := regexp.MustCompile("`([^`]+)`"), regexp.MustCompile(`^[a-z0-9_]+\.(go|py|service|sh|yaml)$`)
	mapped, dir := map[string]bool{}, ""
	for line := range strings.Lines(text) {
		for i, m := range name.FindAllStringSubmatch(line, -1) {
			switch info, err := os.Stat(filepath.Join(root, m[1])); {
			case err == nil && info.IsDir():
				dir = m[1]
				mapped[dir] = true
			case file.MatchString(m[1]) && !exists(filepath.Join(dir, m[1])):
				t.Errorf("the map names %s in %s, which is not there", m[1], dir)
			case i == 0 && strings.HasPrefix(line, "- ") || strings.Contains(m[1], "/"):
				t.Errorf("the map names %s, which is no directory", m[1])
			}
		}
	}
	walk(t, func(path string) {
		if pkg := filepath.Dir(path); filepath.Ext(path) == ".go" && !mapped[pkg] {
			t.Errorf("the package %s is not in the map", pkg)
			mapped[pkg] = true // told once
		}
	})
}
