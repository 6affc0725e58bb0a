#!/usr/bin/env python3
"""follow.py [PATTERN [FROM]]: prints the records of streams as they come, with
Python's standard library; after a cut it goes on where it was."""

import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


def follow(url):
    """Gives (name, data) of each event, for ever. An event counts as handled
    when the next one is asked for."""
    last, retry = None, 2.0
    while True:
        request = urllib.request.Request(url, headers={"Last-Event-ID": last} if last else {})
        try:
            # A gateway that lives sends something every 15 seconds.
            with urllib.request.urlopen(request, timeout=45) as answer:
                event = {}
                for line in answer:
                    field, _, value = line.decode().rstrip("\n").partition(": ")
                    if field:
                        event[field] = event[field] + "\n" + value if field == "data" and field in event else value
                        continue
                    if "data" in event:  # else it only tells the position
                        yield event.get("event", "message"), event["data"]
                    last, retry = event.get("id", last), float(event.get("retry", retry * 1000)) / 1000
                    event = {}
        except urllib.error.HTTPError as e:
            with e:
                if e.code < 500:  # it will not do better another time
                    sys.exit(f"{e.code}: {e.read().decode(errors='replace').strip()}")
        except (OSError, http.client.HTTPException):
            pass  # cut off, or nobody there
        time.sleep(retry)


if __name__ == "__main__":
    pattern, start = (sys.argv[1:] + ["readings", "latest"][len(sys.argv) - 1 :])[:2]
    url = os.environ.get("SLUICE_URL", "http://127.0.0.1:8080")
    path = f"/streams/{urllib.parse.quote(pattern, safe=',')}/events?" + urllib.parse.urlencode({"from": start})
    try:
        for name, data in follow(url + path):
            if name == "message":
                record = json.loads(data)
                print(record["stream"], record["partition"], record["offset"], json.dumps(record.get("data")), flush=True)
            else:
                print(name, data, file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        pass
