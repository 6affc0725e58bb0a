package httpapi_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/stream"
)

func order(version int) stream.SchemaVersion {
	return stream.SchemaVersion{
		Name: "Order", Version: version, Registered: noon, Retention: 7 * 24 * time.Hour,
		Schema: []byte(`{"type":"object","pattern":"<&>\u00e9","maximum":1E2}`),
	}
}

func TestRegisterSchema(t *testing.T) {
	g := newGateway(t, nil)
	var asked stream.Registration
	created := true
	g.schemas.register = func(_ context.Context, r stream.Registration) (stream.SchemaVersion, bool, error) {
		asked = r
		return order(2), created, nil
	}
	res := g.do(t, "POST /schemas/Order/versions", `{"schema":{ "a" : 1e0 },"version":2,"streams":["orders.eu"],"retention":"forever"}`)
	if res.StatusCode != 201 || res.Header.Get("Location") != "/schemas/Order/versions/2" {
		t.Fatal(res.StatusCode, res.Header, res.body)
	}
	golden(t, "schema.json", res.body)
	want := stream.Registration{
		Name: "Order", Version: 2, Schema: []byte(`{ "a" : 1e0 }`), Streams: []string{"orders.eu"}, Retention: new(time.Duration(-1)),
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
	created = false
	res = g.do(t, "POST /schemas/Order/versions", `{"schema":true}`)
	if res.StatusCode != 200 || res.Header.Get("Location") != "/schemas/Order/versions/2" {
		t.Error(res.StatusCode, res.Header)
	}
	want = stream.Registration{Name: "Order", Schema: []byte(`true`)}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
}

func TestRegisterSchemaRefuses(t *testing.T) {
	for body, pointer := range map[string]string{
		`{}`:                             "#/schema",
		`{"schema":{},"version":0}`:      "#/version",
		`{"schema":{},"version":"1"}`:    "#/version",
		`{"schema":{},"streams":["_x"]}`: "#/streams/0",
		`{"schema":{},"streams":"x"}`:    "#/streams",
		`{"schema":{},"retention":""}`:   "#/retention",
		`{"schema":{},"stream":"x"}`:     "#/stream",
	} {
		p := newGateway(t, nil).do(t, "POST /schemas/Order/versions", body).wantProblem(t, stream.InvalidRequest, 400)
		if len(p.Errors) != 1 || p.Errors[0].Pointer != pointer {
			t.Errorf("%s: %+v, want pointer %s", body, p, pointer)
		}
	}
	g := newGateway(t, nil)
	p := g.do(t, "POST /schemas/Order/versions", `{"schema":{"a":1,"a":2}}`).wantProblem(t, stream.MalformedJSON, 400)
	if len(p.Errors) != 1 || p.Errors[0].Pointer != "#/schema/a" {
		t.Errorf("%+v", p)
	}
	g.do(t, "POST /schemas/a%20b/versions", `{"schema":{}}`).wantProblem(t, stream.InvalidRequest, 400)
	g.do(t, "POST /schemas/Order/versions?x=1", `{"schema":{}}`).wantProblem(t, stream.InvalidRequest, 400)
	for code, status := range map[stream.Code]int{stream.SchemaConflict: 409, stream.InvalidSchema: 422, stream.OutcomeUnknown: 504, stream.KafkaUnavailable: 503} {
		g.schemas.register = func(context.Context, stream.Registration) (stream.SchemaVersion, bool, error) {
			return stream.SchemaVersion{}, false, stream.Errorf(code, "m")
		}
		g.do(t, "POST /schemas/Order/versions", `{"schema":{}}`).wantProblem(t, code, status)
	}
}

func TestReadSchemas(t *testing.T) {
	g := newGateway(t, nil)
	plain := order(1)
	plain.Retention = 0
	g.schemas.list = func(context.Context) ([]stream.SchemaVersion, error) {
		return []stream.SchemaVersion{plain, order(2)}, nil
	}
	g.schemas.versions = func(_ context.Context, name string) ([]stream.SchemaVersion, error) {
		if name != "Order" {
			return nil, stream.Errorf(stream.UnknownSchema, "m")
		}
		return []stream.SchemaVersion{plain, order(2)}, nil
	}
	var asked stream.SchemaRef
	g.schemas.schema = func(_ context.Context, ref stream.SchemaRef) (stream.SchemaVersion, error) {
		asked = ref
		return order(2), nil
	}
	golden(t, "schemas.json", g.do(t, "GET /schemas", "").body)
	golden(t, "versions.json", g.do(t, "GET /schemas/Order", "").body)
	g.do(t, "GET /schemas/order", "").wantProblem(t, stream.UnknownSchema, 404)
	g.do(t, "GET /schemas/a%2Fb", "").wantProblem(t, stream.InvalidRequest, 400)
	for path, want := range map[string]stream.SchemaRef{"2": {Name: "Order", Version: 2}, "latest": {Name: "Order"}} {
		res := g.do(t, "GET /schemas/Order/versions/"+path, "")
		golden(t, "schema.json", res.body)
		if res.StatusCode != 200 || asked != want {
			t.Errorf("%s: %d, asked for %v", path, res.StatusCode, asked)
		}
	}
	for _, path := range []string{"0", "-1", "01", "x", "Latest", "2147483648", "1?x=1"} {
		g.do(t, "GET /schemas/Order/versions/"+path, "").wantProblem(t, stream.InvalidRequest, 400)
	}
	g.schemas.list = func(context.Context) ([]stream.SchemaVersion, error) { return nil, nil }
	if res := g.do(t, "GET /schemas", ""); res.body != `{"schemas":[]}`+"\n" {
		t.Error(res.body)
	}
}

func TestDeleteSchema(t *testing.T) {
	g := newGateway(t, nil)
	var gone stream.SchemaRef
	g.schemas.remove = func(_ context.Context, ref stream.SchemaRef) error { gone = ref; return nil }
	if res := g.do(t, "DELETE /schemas/Order/versions/3", ""); res.StatusCode != 204 || gone.String() != "Order:3" {
		t.Error(res.StatusCode, gone)
	}
	g.schemas.remove = func(context.Context, stream.SchemaRef) error { return stream.Errorf(stream.SchemaInUse, "m") }
	g.do(t, "DELETE /schemas/Order/versions/latest", "").wantProblem(t, stream.SchemaInUse, 409)
	g.do(t, "DELETE /schemas/Order/versions/x", "").wantProblem(t, stream.InvalidRequest, 400)
	g.do(t, "DELETE /schemas/Order/versions/1?x", "").wantProblem(t, stream.InvalidRequest, 400)
}

func TestValidate(t *testing.T) {
	g := newGateway(t, nil)
	g.schemas.validate = func(_ context.Context, ref stream.SchemaRef, data []byte) error {
		if string(data) == "1" && ref.String() == "Order:1" {
			return nil
		}
		return &stream.Error{Code: stream.SchemaViolation, Message: "m", Violations: []stream.Violation{{Pointer: "#/a", Keyword: "type", Detail: "d"}}}
	}
	if res := g.do(t, "POST /schemas/Order/versions/1/validate", "1"); res.StatusCode != 200 || res.body != `{"valid":true}`+"\n" {
		t.Error(res.StatusCode, res.body)
	}
	p := g.do(t, "POST /schemas/Order/versions/latest/validate", "2").wantProblem(t, stream.SchemaViolation, 422)
	if len(p.Errors) != 1 || p.Errors[0].Keyword != "type" || p.Outcome != "" {
		t.Errorf("%+v", p)
	}
	g.do(t, "POST /schemas/Order/versions/1/validate", "1", ndjson).wantProblem(t, stream.UnsupportedType, 415)
	g.do(t, "POST /schemas/Order/versions/1/validate", "1", "Content-Encoding: br").wantProblem(t, stream.UnsupportedType, 415)
	g.do(t, "POST /schemas/Order/versions/x/validate", "1").wantProblem(t, stream.InvalidRequest, 400)
	g.do(t, "POST /schemas/Order/versions/1/validate?x=1", "1").wantProblem(t, stream.InvalidRequest, 400)
}
