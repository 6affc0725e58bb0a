"""What Schemathesis cannot know of this API by its description.

- NDJSON and event streams are described by one line and one event, or as text;
  here they become arrays of lines, and objects.
- Examples name things that are there (seed.py), which are made again when a
  request has deleted them.
- Requests do not wait for long, and do not ask for thousands of partitions.
"""

import json

import schemathesis
import seed
from schemathesis.generation.meta import TestPhase

NDJSON = "application/x-ndjson"
PARTITIONS = 4  # of a stream, at most: they are real
LONGEST_WAIT = 60  # seconds, of the parameter wait; more is refused

EVENT = {
    "type": "object",
    "required": ["id", "data"],
    "properties": {
        "id": {"type": "string", "pattern": "^[A-Za-z0-9._~-]+$", "maxLength": 4096},
        "event": {"enum": ["message", "record", "gap", "problem", "end"]},
        "data": {"type": "string"},
        "retry": {"type": "integer", "minimum": 1},
    },
    "additionalProperties": False,
}


@schemathesis.hook
def before_load_schema(context, raw_schema):
    seed.seed()
    put_in(raw_schema, seed.known())
    raw_schema["components"]["parameters"]["BrokerID"]["example"] = seed.broker()
    if seed.TOKEN:
        raw_schema["security"] = [{"bearer": []}]
    for item in raw_schema["paths"].values():
        for operation in item.values():
            if isinstance(operation, dict) and "responses" in operation:
                adapt(operation)


def put_in(node, known):
    """Replaces texts of the description, wherever they stand."""
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        if isinstance(value, (dict, list)):
            put_in(value, known)
        elif isinstance(value, str) and value in known:
            node[key] = known[value]


def adapt(operation):
    sent = operation.get("requestBody", {}).get("content", {})
    if NDJSON in sent:
        lines = sent[NDJSON]
        lines["schema"] = {"type": "array", "minItems": 1, "items": lines["schema"]}
        for example in lines.get("examples", {}).values():
            example["value"] = [example["value"]]
    for response in operation["responses"].values():
        content = response.get("content", {})
        if NDJSON in content:
            content[NDJSON]["schema"] = {"type": "array", "items": content[NDJSON]["schema"]}
        if "text/event-stream" in content:
            content["text/event-stream"]["schema"] = EVENT


@schemathesis.serializer(NDJSON)
def lines_of(context, value):
    if isinstance(value, bytes):
        return {"data": value}
    lines = value if isinstance(value, list) else [value]
    return {"data": "".join(json.dumps(line) + "\n" for line in lines).encode()}


@schemathesis.deserializer(NDJSON)
def read_lines(context, response):
    return [json.loads(line) for line in response.content.splitlines()]


@schemathesis.hook
def map_body(context, body):
    if isinstance(body, dict) and isinstance(body.get("partitions"), int):
        body["partitions"] = min(body["partitions"], PARTITIONS)
    return body


def in_steps(case):
    """Whether the request is one of several, of which later ones ask what became of what was deleted."""
    return case.meta is not None and case.meta.phase.name is TestPhase.STATEFUL


@schemathesis.hook
def before_call(context, case, kwargs):
    wait = case.query.get("wait") if case.query else None
    if isinstance(wait, (str, int)) and str(wait).isdigit() and 0 < int(wait) <= LONGEST_WAIT:
        case.query["wait"] = "100ms"


@schemathesis.hook
def after_call(context, case, response):
    if case.method.upper() == "DELETE" and response.status_code in (200, 204) and not in_steps(case):
        seed.seed()
