package logstream

import (
	"encoding/json"

	"sluice/internal/stream"
)

// SchemaName is the name of the built-in schema: kafkaesk's for its log records.
const SchemaName = "PydanticLogModel"

// schemaText is met by every record of kafkaesk's PydanticKafkaeskHandler, whose
// times have no zone and are UTC. It asks for what no log record can do without;
// other members may be added, of any kind. It may never change: gateways of
// different releases register it at the same time.
const schemaText = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "PydanticLogModel",
  "description": "A structured log record.",
  "type": "object",
  "required": ["timestamp", "severity", "message"],
  "properties": {
    "timestamp": {
      "description": "When it was logged: ISO 8601, UTC where it names no zone.",
      "type": "string",
      "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})?$"
    },
    "severity": {"description": "DEBUG, INFO, WARNING, ERROR, CRITICAL, or a name of the program's own.", "type": "string"},
    "message": {"type": "string"},
    "level": {"description": "The severity as a number, as Python has it: 10 DEBUG, 20 INFO, 30 WARNING, 40 ERROR, 50 CRITICAL.", "type": "integer"},
    "logger": {"description": "Which part of the program it is from.", "type": ["string", "null"]},
    "exception": {"description": "The type of the exception.", "type": ["string", "null"]},
    "stack": {"description": "The exception with its traceback.", "type": ["string", "null"]},
    "trace": {"description": "Where in the program it was logged, as a stack.", "type": ["string", "null"]},
    "hostname": {"type": ["string", "null"]},
    "service": {"description": "The program.", "type": ["string", "null"]},
    "namespace": {"description": "Of Kubernetes.", "type": ["string", "null"]},
    "cluster": {"type": ["string", "null"]}
  },
  "additionalProperties": true
}`

// Schema asks for the built-in schema under its name. Registering it is
// idempotent: where a schema of the user's own has the version that it would
// have, it takes the next one.
func Schema() stream.Registration {
	return stream.Registration{Name: SchemaName, Schema: json.RawMessage(schemaText)}
}
