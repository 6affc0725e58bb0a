package httpapi_test

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"
	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"sluice/api"
)

// description is the API's description, read once.
var description = sync.OnceValues(func() (*openapi3.T, error) {
	return openapi3.NewLoader().LoadFromData(api.OpenAPI)
})

func describedAPI(tb testing.TB) *openapi3.T {
	tb.Helper()
	doc, err := description()
	if err != nil {
		tb.Fatal(err)
	}
	return doc
}

func TestDescriptionIsValid(t *testing.T) {
	if err := describedAPI(t).Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		t.Error(err)
	}
}

func TestDescriptionHasTheRoutes(t *testing.T) {
	var described, routed []string
	for path, item := range describedAPI(t).Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	routes := newGateway(t, nil).handler.(chi.Routes)
	err := chi.Walk(routes, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		routed = append(routed, method+" "+route)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(described)
	slices.Sort(routed)
	if diff := cmp.Diff(routed, described); diff != "" {
		t.Errorf("routes (-) and openapi.yaml (+) differ:\n%s", diff)
	}
}

func TestEveryOperationIsNamed(t *testing.T) {
	seen := map[string]bool{}
	for path, item := range describedAPI(t).Paths.Map() {
		for method, op := range item.Operations() {
			if op.OperationID == "" || seen[op.OperationID] || op.Summary == "" || len(op.Tags) == 0 {
				t.Errorf("%s %s: needs an operationId of its own, a summary and a tag", method, path)
			}
			seen[op.OperationID] = true
		}
	}
}

// checkAgainstDescription holds an answer against openapi.yaml: the status is
// there for the route, and JSON matches its schema.
func checkAgainstDescription(tb testing.TB, r *http.Request, answer reply) {
	tb.Helper()
	item := describedPath(describedAPI(tb), r.URL.EscapedPath())
	if item == nil || item.GetOperation(r.Method) == nil {
		if answer.StatusCode < 400 || answer.StatusCode == http.StatusInternalServerError {
			tb.Errorf("%s %s answers %d and is not in openapi.yaml", r.Method, r.URL, answer.StatusCode)
		}
		return
	}
	response := item.GetOperation(r.Method).Responses.Value(strconv.Itoa(answer.StatusCode))
	if response == nil {
		tb.Errorf("%s %s answers %d, which is not in openapi.yaml: %s", r.Method, r.URL, answer.StatusCode, answer.body)
		return
	}
	mediaType, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
	if answer.body == "" && response.Value.Content == nil {
		return
	}
	content := response.Value.Content[mediaType]
	if content == nil {
		tb.Errorf("%s %s answers %d as %q, which is not in openapi.yaml (it has %v)", r.Method, r.URL, answer.StatusCode, mediaType, slices.Collect(maps.Keys(response.Value.Content)))
		return
	}
	if strings.Contains(mediaType, "ndjson") {
		lines := slices.Collect(strings.Lines(answer.body))
		matchSchema(tb, content, lines[len(lines)-1])
		for _, line := range lines[:min(len(lines), 10)] { // each takes milliseconds
			matchSchema(tb, content, line)
		}
	} else if strings.HasSuffix(mediaType, "json") {
		matchSchema(tb, content, answer.body)
	}
	if answer.StatusCode == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") == "" {
		tb.Error("a 503 without Retry-After")
	}
}

func matchSchema(tb testing.TB, content *openapi3.MediaType, text string) {
	tb.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		tb.Errorf("%q: %v", text, err)
		return
	}
	if err := content.Schema.Value.VisitJSON(v, openapi3.EnableJSONSchema2020()); err != nil {
		tb.Errorf("%s does not match openapi.yaml: %v", text, err)
	}
}

// describedPath finds the path of the description that matches.
func describedPath(doc *openapi3.T, path string) *openapi3.PathItem {
	want := strings.Split(path, "/")
	for pattern, item := range doc.Paths.Map() {
		got := strings.Split(pattern, "/")
		if slices.EqualFunc(got, want, func(p, s string) bool {
			return p == s || strings.HasPrefix(p, "{") && s != ""
		}) {
			return item
		}
	}
	return nil
}
