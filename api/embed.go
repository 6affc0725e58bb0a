// Package api holds the description of the HTTP API, openapi.yaml, for the
// gateway to serve and for tests to hold against its routes. It has no code of
// the API itself, which is package httpapi.
package api

import _ "embed" // for the directive below

// OpenAPI is the description of the HTTP API: OpenAPI 3.1, as YAML. Nobody may
// change it.
//
//go:embed openapi.yaml
var OpenAPI []byte
