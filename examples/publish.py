#!/usr/bin/env python3
"""publish.py: registers a schema and publishes with Python's standard library."""

import json
import os
import random
import time
import urllib.error
import urllib.parse
import urllib.request

URL = os.environ.get("SLUICE_URL", "http://127.0.0.1:8080")
ATTEMPTS = 5


class Refused(Exception):
    """The gateway did not store; `outcome` says whether that is certain."""

    def __init__(self, status, problem):
        super().__init__(f"{status}: {problem.get('detail', problem)}")
        self.status, self.problem = status, problem
        self.outcome = problem.get("outcome", "unknown")


def post(path, body, content_type="application/json", headers=None):
    """Sends one request. Raises Refused, or OSError where no answer came."""
    request = urllib.request.Request(
        URL + path, body, {"Content-Type": content_type, **(headers or {})}, method="POST"
    )
    try:
        # Longer than the gateway's publish_timeout: it is the one that knows.
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as e:
        with e:
            text = e.read()
        try:
            problem = json.loads(text)
        except ValueError:  # not the gateway's: a proxy's page
            problem = {"detail": text.decode(errors="replace")}
        problem["retry_after"] = e.headers.get("Retry-After")
        raise Refused(e.code, problem) from None


def publish(stream, data, key=None, headers=None):
    """Stores one record and says where. What is certainly not stored, and may
    be later, is sent again; after an unclear outcome the caller decides."""
    path = f"/streams/{urllib.parse.quote(stream, safe='')}"
    if key is not None:
        path += "?" + urllib.parse.urlencode({"key": key})
    headers = {f"Kafka-Header-{k}": v for k, v in (headers or {}).items()}
    body = json.dumps(data).encode()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return post(path, body, headers=headers)
        except Refused as e:
            again = e.status in (429, 503) and e.outcome == "not_stored"
            if not again or attempt == ATTEMPTS:
                raise
            # A little more than asked for, so that not all come back at once.
            time.sleep(float(e.problem["retry_after"] or 1) * (1 + random.random()))


def publish_many(stream, records):
    """Stores record objects in order; gives the result of each."""
    lines = "".join(json.dumps(r) + "\n" for r in records)
    return post(f"/streams/{stream}", lines.encode(), "application/x-ndjson")


if __name__ == "__main__":
    schema = {
        "type": "object",
        "required": ["sensor", "celsius"],
        "properties": {"sensor": {"type": "string"}, "celsius": {"type": "number"}},
    }
    registration = {"schema": schema, "streams": ["readings"]}
    print(post("/schemas/Reading/versions", json.dumps(registration).encode()))
    print(publish("readings", {"sensor": "kitchen", "celsius": 21.5}, "kitchen", {"Source": "example"}))
    answer = publish_many(
        "readings",
        [{"key": s, "data": {"sensor": s, "celsius": c}} for s, c in [("kitchen", 21.6), ("cellar", 12.4)]],
    )
    for result in answer["results"]:
        print(result)  # a record's place, or a problem with its line
