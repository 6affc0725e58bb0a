package httpapi_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"sluice/api"
	"sluice/internal/stream"
)

// codes reads the error codes from the source of package stream, so that a new
// one cannot be forgotten here.
func codes(tb testing.TB) []string {
	tb.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../stream/error.go", nil, 0)
	if err != nil {
		tb.Fatal(err)
	}
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Code" {
			code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				tb.Fatal(err)
			}
			found = append(found, code)
		}
		return true
	})
	if len(found) < 30 {
		tb.Fatalf("only %d codes found", len(found))
	}
	return found
}

func TestEveryCodeHasAPage(t *testing.T) {
	g := newGateway(t, nil)
	for _, code := range codes(t) {
		for accept, contentType := range map[string]string{
			"":    "text/plain; charset=utf-8",
			"*/*": "text/plain; charset=utf-8",
			"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": "text/html; charset=utf-8",
			"application/json":                        "application/json",
			"text/html;q=0.1, application/*;q=0.5":    "application/json",
			"application/problem+json, text/*;q=0.9":  "application/json",
			"image/png":                               "text/plain; charset=utf-8",
			"text/plain;q=0, text/html;q=nonsense":    "text/plain; charset=utf-8",
			"text/html;level=1;q=0.3, text/plain;q=0": "text/html; charset=utf-8",
		} {
			var headers []string
			if accept != "" {
				headers = append(headers, "Accept: "+accept)
			}
			res := g.do(t, "GET /problems/"+code, "", headers...)
			if got := res.Header.Get("Content-Type"); res.StatusCode != 200 || got != contentType {
				t.Errorf("%s, Accept %q: %d %s", code, accept, res.StatusCode, got)
			}
			if !strings.Contains(res.body, code) || len(res.body) < 150 {
				t.Errorf("%s: says too little: %s", code, res.body)
			}
		}
	}
	golden(t, "page.html", g.do(t, "GET /problems/unbound-stream", "", "Accept: text/html").body)
	golden(t, "page.txt", g.do(t, "GET /problems/unbound-stream", "").body)
	g.do(t, "GET /problems/made-up", "").wantProblem(t, stream.NotFound, 404)
	g.do(t, "GET /problems/%3Cscript%3E", "", "Accept: text/html").wantProblem(t, stream.NotFound, 404)
}

func TestDescriptionListsTheCodes(t *testing.T) {
	var described []string
	for _, slug := range describedAPI(t).Components.Schemas["Slug"].Value.Enum {
		described = append(described, slug.(string))
	}
	want := codes(t)
	slices.Sort(want)
	slices.Sort(described)
	if diff := cmp.Diff(want, described); diff != "" {
		t.Errorf("codes (-) and openapi.yaml (+) differ:\n%s", diff)
	}
}

func TestExamplesOfProblemsAreTrue(t *testing.T) {
	var tree any
	if err := yaml.Unmarshal(api.OpenAPI, &tree); err != nil {
		t.Fatal(err)
	}
	g := newGateway(t, nil)
	found := 0
	eachMap(tree, func(m map[string]any) {
		kind, _ := m["type"].(string)
		if !strings.HasPrefix(kind, "/problems/") {
			return
		}
		found++
		var page problem
		g.do(t, "GET "+kind, "", "Accept: application/json").json(t, &page)
		if m["title"] != page.Title || m["status"] != page.Status {
			t.Errorf("example %v; the page says %q, %d", m, page.Title, page.Status)
		}
	})
	if found < 5 {
		t.Errorf("only %d examples found", found)
	}
}

// eachMap calls f for every object in the tree.
func eachMap(tree any, f func(map[string]any)) {
	switch v := tree.(type) {
	case map[string]any:
		f(v)
		for _, member := range v {
			eachMap(member, f)
		}
	case []any:
		for _, element := range v {
			eachMap(element, f)
		}
	}
}
