#!/usr/bin/env python3
"""follow.py [PATTERN [FROM]]: prints the records of streams as they come, with
Python's standard library; after a cut it goes on where it was."""

import http.client, os, sys, time, urllib.error, urllib.parse, urllib.request

pattern, start = (sys.argv[1:] + ["readings", "latest"][len(sys.argv) - 1 :])[:2]
gateway = os.environ.get("SLUICE_URL", "http://127.0.0.1:8080")
url = f"{gateway}/streams/{urllib.parse.quote(pattern, safe=',')}/events?from={urllib.parse.quote(start)}"
last = {}  # the id of the last event that was printed; it is the position after it
while True:
    event = {}
    try:  # a gateway that lives sends something every 15 seconds
        with urllib.request.urlopen(urllib.request.Request(url, headers=last), timeout=45) as lines:
            for field, _, value in (line.decode().rstrip("\n").partition(": ") for line in lines):
                event[field] = value
                if not field and "data" in event:  # an empty line ends an event; one without data tells a position
                    print(event.get("event", "record"), event["data"], flush=True)
                if not field:
                    last, event = {"Last-Event-ID": event["id"]} if "id" in event else last, {}
    except urllib.error.HTTPError as e:
        if e.code < 500:  # it will not do better another time
            sys.exit(f"{e.code}: {e.read().decode()}")
    except (OSError, http.client.HTTPException):
        pass  # cut off, or nobody there
    time.sleep(2)
