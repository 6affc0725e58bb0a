package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"sluice/internal/stream"
	"sluice/internal/stream/recordjson"
)

// schemaInfo is a schema version as it is answered.
type schemaInfo struct {
	Name       string         `json:"name"`
	Version    int            `json:"version"`
	Schema     jsontext.Value `json:"schema"`
	Retention  *retention     `json:"retention,omitempty"` // left out: the broker's
	Registered string         `json:"registered"`
}

func newSchemaInfo(v *stream.SchemaVersion) schemaInfo {
	info := schemaInfo{
		Name:       v.Name,
		Version:    v.Version,
		Schema:     jsontext.Value(v.Schema),
		Registered: v.Registered.UTC().Format(recordjson.TimeLayout),
	}
	if v.Retention != 0 {
		kept := retention(v.Retention)
		info.Retention = &kept
	}
	return info
}

func newSchemaInfos(versions []stream.SchemaVersion) []schemaInfo {
	list := make([]schemaInfo, len(versions))
	for i := range versions {
		list[i] = newSchemaInfo(&versions[i])
	}
	return list
}

// registration is the body of POST /schemas/{name}/versions.
type registration struct {
	Schema    jsontext.Value `json:"schema"`
	Version   *int           `json:"version"`
	Streams   []string       `json:"streams"`
	Retention *retention     `json:"retention"`
}

func (b *registration) check(a *api) error {
	switch {
	case len(b.Schema) == 0:
		return memberError("schema", "is missing: it is the JSON Schema to register")
	case b.Version != nil && (*b.Version < 1 || *b.Version > 1<<31-1):
		return memberError("version", "is a whole number from 1; leave it out for the next one")
	}
	for i, id := range b.Streams {
		if err := a.Topics.CheckID(id); err != nil {
			return wrapMember("streams/"+strconv.Itoa(i), err)
		}
	}
	return nil
}

// schemaName gives the name in the path, when it can be a schema's.
func schemaName(r *http.Request) (string, error) {
	name := pathParam(r, "name")
	return name, stream.CheckSchemaName(name)
}

// schemaRef gives the version in the path; "latest" is version 0.
func schemaRef(r *http.Request) (stream.SchemaRef, error) {
	name, err := schemaName(r)
	if err != nil {
		return stream.SchemaRef{}, err
	}
	text := pathParam(r, "version")
	if text == "latest" {
		return stream.SchemaRef{Name: name}, nil
	}
	version, err := stream.ParseVersion(text)
	if err != nil {
		return stream.SchemaRef{}, stream.Errorf(stream.InvalidRequest, `the version in the path is a whole number from 1, or "latest"`)
	}
	return stream.SchemaRef{Name: name, Version: version}, nil
}

func (a *api) registerSchema(w http.ResponseWriter, r *http.Request) error {
	name, err := schemaName(r)
	if err != nil {
		return err
	}
	if err := noQuery(r); err != nil {
		return err
	}
	x := exchangeOf(w)
	var body registration
	if err := a.readJSON(x, r, &body); err != nil {
		return err
	}
	if err := body.check(a); err != nil {
		return err
	}
	if c := stream.CallerOf(r.Context()); c != nil {
		for _, id := range body.Streams {
			if !c.May(stream.ActionManage, id) {
				return c.Refuse(stream.ActionManage, id)
			}
		}
	}
	reg := stream.Registration{
		Name:      name,
		Schema:    []byte(body.Schema),
		Streams:   body.Streams,
		Retention: (*time.Duration)(body.Retention),
	}
	if body.Version != nil {
		reg.Version = *body.Version
	}
	v, created, err := a.Schemas.Register(r.Context(), reg)
	if err != nil {
		return err
	}
	x.Header().Set("Location", "/schemas/"+v.Name+"/versions/"+strconv.Itoa(v.Version))
	if created {
		return a.sendJSON(x, http.StatusCreated, newSchemaInfo(&v))
	}
	return a.sendJSON(x, http.StatusOK, newSchemaInfo(&v))
}

func (a *api) listSchemas(w http.ResponseWriter, r *http.Request) error {
	if err := noQuery(r); err != nil {
		return err
	}
	versions, err := a.SchemaReader.List(r.Context())
	if err != nil {
		return err
	}
	return a.sendJSON(exchangeOf(w), http.StatusOK, map[string]any{"schemas": newSchemaInfos(versions)})
}

func (a *api) getSchema(w http.ResponseWriter, r *http.Request) error {
	name, err := schemaName(r)
	if err != nil {
		return err
	}
	if err := noQuery(r); err != nil {
		return err
	}
	versions, err := a.SchemaReader.Versions(r.Context(), name)
	if err != nil {
		return err
	}
	return a.sendJSON(exchangeOf(w), http.StatusOK, map[string]any{"name": name, "versions": newSchemaInfos(versions)})
}

func (a *api) getSchemaVersion(w http.ResponseWriter, r *http.Request) error {
	ref, err := schemaRef(r)
	if err != nil {
		return err
	}
	if err := noQuery(r); err != nil {
		return err
	}
	v, err := a.SchemaReader.Schema(r.Context(), ref)
	if err != nil {
		return err
	}
	return a.sendJSON(exchangeOf(w), http.StatusOK, newSchemaInfo(&v))
}

func (a *api) deleteSchemaVersion(w http.ResponseWriter, r *http.Request) error {
	ref, err := schemaRef(r)
	if err != nil {
		return err
	}
	if err := noQuery(r); err != nil {
		return err
	}
	if err := a.Schemas.Delete(r.Context(), ref); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// validate checks data against a schema and stores nothing.
func (a *api) validate(w http.ResponseWriter, r *http.Request) error {
	ref, err := schemaRef(r)
	if err != nil {
		return err
	}
	if err := noQuery(r); err != nil {
		return err
	}
	format, err := formatOf(r)
	if err != nil {
		return err
	}
	if format != formatJSON {
		return stream.Errorf(stream.UnsupportedType, "this Content-Type is not supported here; use application/json, one JSON text")
	}
	x := exchangeOf(w)
	data, err := a.readBody(x, r, nil, sizeLimit{a.Limits.Record, "one record"})
	if err != nil {
		return err
	}
	if err := a.SchemaReader.Validate(r.Context(), ref, data); err != nil {
		return err
	}
	return a.sendJSON(x, http.StatusOK, map[string]bool{"valid": true})
}
