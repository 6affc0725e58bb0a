"""Receivers that verify deliveries with Standard Webhooks' own libraries, for
Python and for JavaScript, take what the gateway's sender sends, and nothing
that is signed with another secret.

The script `run` sets the environment read here.
"""

import base64
import json
import os
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

SECRET, OTHER, THIRD = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2, 255))


@contextmanager
def python_receiver(secret):
    webhook = Webhook(secret)

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                webhook.verify(body, dict(self.headers))
                self.send_response(204)
                self.end_headers()
            except WebhookVerificationError as error:
                text = f"{type(error).__name__}: {error}".encode()
                self.send_response(401)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook"
        server.shutdown()


@contextmanager
def javascript_receiver(secret):
    receiver = Path(os.environ["INTEROP_NODE"]) / "receiver.mjs"
    with subprocess.Popen(["node", receiver, secret], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/hook"
        process.stdin.close()


receivers = pytest.mark.parametrize("receiver", [python_receiver, javascript_receiver], ids=["python", "javascript"])


def send(url, *secrets, view="record", records=1):
    sent = subprocess.run(
        [os.environ["INTEROP_SENDER"], "-url", url, "-view", view, "-records", str(records), "-secrets", ",".join(secrets)],
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    return json.loads(sent.stdout)


@receivers
def test_signatures_verify(receiver):
    deliveries = [("record", 3), *((view, 1) for view in ("record", "data", "value", "cloudevents", "cloudevents-structured"))]
    with receiver(SECRET) as url:
        for view, records in deliveries:
            attempt = send(url, SECRET, view=view, records=records)
            assert (attempt["outcome"], attempt["status"]) == ("delivered", 204), (view, records, attempt)


@receivers
@pytest.mark.parametrize("known", [SECRET, OTHER])
def test_either_secret_verifies_during_rotation(receiver, known):
    with receiver(known) as url:
        assert send(url, SECRET, OTHER)["outcome"] == "delivered"


@receivers
def test_another_secret_does_not_verify(receiver):
    with receiver(THIRD) as url:
        attempt = send(url, SECRET, OTHER)
    assert (attempt["outcome"], attempt["status"]) == ("refused", 401), attempt
    assert "WebhookVerificationError" in attempt["detail"], attempt
