#!/usr/bin/env bash
# publish.sh: registers a schema and publishes with curl.
set -euo pipefail
url=${SLUICE_URL:-http://127.0.0.1:8080}

# call: curl that fails, and shows the problem, when the gateway refuses.
call() { curl -sS --fail-with-body "$@"; }

# Registering the same schema again changes nothing, so this may run each time.
call "$url/schemas/Reading/versions" -d '{
  "schema": {
    "type": "object",
    "required": ["sensor", "celsius"],
    "properties": {"sensor": {"type": "string"}, "celsius": {"type": "number"}}
  },
  "streams": ["readings"]
}'

# One record. The body of a failure says by "outcome" whether it may be stored
# all the same; curl's own --retry does not look at that, and may store twice.
call "$url/streams/readings?key=kitchen" -H 'Kafka-Header-Source: example' \
  -d '{"sensor":"kitchen","celsius":21.5}'

# Many records: one object a line. -T sends them as they come.
printf '{"key":"%s","data":{"sensor":"%s","celsius":%s}}\n' kitchen kitchen 21.6 cellar cellar 12.4 |
  call "$url/streams/readings" -X POST -H 'Content-Type: application/x-ndjson' \
    -H 'Accept: application/x-ndjson' -T -
