#!/usr/bin/env python3
"""receiver.py: takes a subscription's deliveries, verifies who signed them
(Standard Webhooks), and prints each record once. Standard library alone."""

import base64
import hashlib
import hmac
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE = 300  # seconds a delivery may be old, so that nobody sends it again later
REMEMBER = 10_000  # ids, the oldest of which are forgotten
MAX_BODY = 16 << 20

mark, _, text = os.environ.get("WEBHOOK_SECRET", "").partition("_")
key = base64.b64decode(text)
if mark != "whsec" or len(key) < 24:  # with an empty one everybody could sign
    raise SystemExit("WEBHOOK_SECRET has to be the subscription's secret, whsec_…")
seen = {}  # a dict keeps the order: the oldest id is the first
handling = threading.Lock()


def signed(headers, body):
    """Says whether somebody who has the secret signed, a short while ago."""
    identity, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp[:15])) > TOLERANCE:
        return False
    mac = hmac.new(key, f"{identity}.{timestamp}.".encode() + body, hashlib.sha256)  # the bytes as they came
    want = b"v1," + base64.b64encode(mac.digest())
    given = headers.get("webhook-signature", "").split()  # two while a secret is changed
    return any(hmac.compare_digest(signature.encode(), want) for signature in given)


def handle(body):
    """Is where your work goes. An exception has the delivery repeated."""
    content = json.loads(body)
    for record in content.get("records", [content]):  # a record, or with max_records a batch
        print(json.dumps(record, ensure_ascii=False, separators=(",", ":")), flush=True)


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length[:15]) > MAX_BODY:
            return self.send_error(413)
        body = self.rfile.read(int(length))
        if not signed(self.headers, body):
            return self.send_error(401)  # a dead letter at once; 5xx is tried again
        # Held until the delivery was handled, so that a repeat waits for that. Where
        # work is stored in a database, the id belongs into the same transaction.
        with handling:
            if self.headers["webhook-id"] not in seen:
                try:
                    handle(body)
                except Exception as error:
                    return self.send_error(500, explain=str(error))
                seen[self.headers["webhook-id"]] = True
                if len(seen) > REMEMBER:
                    del seen[next(iter(seen))]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9000"))), Receiver).serve_forever()
