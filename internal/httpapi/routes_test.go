package httpapi_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"sluice/internal/stream"
)

func TestPathsAreUnescapedOnce(t *testing.T) {
	g := newGateway(t, nil)
	var asked []string
	g.streams.describe = func(_ context.Context, id string) (stream.Info, error) {
		asked = append(asked, id)
		return stream.Info{ID: id, Partitions: 1, ReplicationFactor: 1}, nil
	}
	// Whatever stands between the slashes is one id, and none of these is one.
	for _, path := range []string{
		"a%2Fb", "%2e%2e", "..", "%2E", "%00", "a%00", "%2541", "a%20b", "a%2520b", "%252e%252e", "a%2Frecords%2F0%2F0", "%C3%A9", "%ff", "a+b", "a%3Fb",
	} {
		g.do(t, "GET /streams/"+path, "").wantProblem(t, stream.InvalidRequest, 400)
		g.do(t, "DELETE /streams/"+path, "").wantProblem(t, stream.InvalidRequest, 400)
		g.do(t, "POST /streams/"+path, "1").wantProblem(t, stream.InvalidRequest, 400)
		g.do(t, "GET /schemas/"+path+"/versions/1/", "").wantProblem(t, stream.NotFound, 404)
	}
	if len(asked) > 0 {
		t.Fatalf("asked for %q", asked)
	}
	for path, id := range map[string]string{"a%2Eb": "a.b", "%61": "a", "a.b": "a.b"} {
		asked = nil
		if res := g.do(t, "GET /streams/"+path, ""); res.StatusCode != 200 || len(asked) != 1 || asked[0] != id {
			t.Errorf("%s: %d, asked for %q", path, res.StatusCode, asked)
		}
	}
}

func TestUnknownPaths(t *testing.T) {
	g := newGateway(t, nil)
	for _, path := range []string{"/nope", "/streams/", "/streams/a/", "/streams%2Fa", "/streams/a/records/0", "/streams/a/events/0", "/groups/a/b", "//", "/schemas/", "/problems/", "/health"} {
		for _, method := range []string{"GET ", "POST ", "BREW "} {
			p := g.do(t, method+path, "").wantProblem(t, stream.NotFound, 404)
			if !strings.Contains(p.Detail, "GET /") {
				t.Error(p.Detail)
			}
		}
	}
}

func TestUnknownMethods(t *testing.T) {
	g := newGateway(t, nil)
	for request, allow := range map[string]string{
		"POST /":                      "GET, HEAD",
		"PATCH /streams/a":            "DELETE, GET, POST, PUT, HEAD",
		"OPTIONS /streams/a":          "DELETE, GET, POST, PUT, HEAD",
		"BREW /streams/a":             "DELETE, GET, POST, PUT, HEAD",
		"GET /schemas/a/versions":     "POST",
		"HEAD /schemas/a/versions":    "POST",
		"PUT /streams/a/records/0/42": "GET, HEAD",
	} {
		method, path, _ := strings.Cut(request, " ")
		res := g.send(t, httptest.NewRequest(method, path, nil))
		if method != "HEAD" {
			res.wantProblem(t, stream.MethodNotAllowed, 405)
		}
		if got := res.Header.Get("Allow"); res.StatusCode != 405 || got != allow {
			t.Errorf("%s: %d, Allow %q, want %q", request, res.StatusCode, got, allow)
		}
	}
}

func TestHeadIsGet(t *testing.T) {
	g := newGateway(t, nil)
	s := g.serve(t)
	for _, path := range []string{"/", "/health/live", "/openapi.yaml"} {
		res, err := s.Client().Head(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 || res.ContentLength == 0 {
			t.Errorf("%s: %d, %d bytes", path, res.StatusCode, res.ContentLength)
		}
	}
}

func TestHome(t *testing.T) {
	g := newGateway(t, nil)
	res := g.do(t, "GET /", "")
	golden(t, "home.json", res.body)
	var home struct {
		Links map[string]string `json:"links"`
	}
	res.json(t, &struct {
		Name, Description, Version *string
		Links                      *map[string]string `json:"links"`
	}{Links: &home.Links})
	g.streams.list = func(context.Context, stream.Pattern) ([]stream.Info, error) { return nil, nil }
	g.schemas.list = func(context.Context) ([]stream.SchemaVersion, error) { return nil, nil }
	g.brokers.cluster = func(context.Context) (stream.Cluster, error) { return stream.Cluster{}, nil }
	for name, path := range home.Links {
		if res := g.do(t, "GET "+path, ""); res.StatusCode != 200 {
			t.Errorf("the link %s leads to %d", name, res.StatusCode)
		}
	}
	if len(home.Links) == 0 {
		t.Error("no links")
	}
	g.do(t, "GET /?x=1", "").wantProblem(t, stream.InvalidRequest, 400)
}
