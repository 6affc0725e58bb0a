package audit

import _ "embed" // of the schema

// SchemaName and SchemaVersion are the schema of audit events in a stream. The
// gateway registers it by itself, and nobody else may.
const (
	SchemaName    = "sluice.audit"
	SchemaVersion = 1
)

//go:embed schema.json
var schemaText []byte
