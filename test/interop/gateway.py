"""The gateway under test: its process, and requests to it.

Only the standard library is used, so that both virtual environments (one for
kafkaesk, one for the other clients) can import it.
"""

import http.client
import json
import os
import re
import subprocess
import threading
import time
from dataclasses import dataclass
from urllib.parse import quote, urlencode

REQUEST_TIMEOUT = 30  # seconds
START_TIMEOUT = 60
STOP_TIMEOUT = 60
LOG_STREAM = "gateway-log"  # has the gateway's own log, too


def wait_for(what, condition, timeout=30):
    """Asks condition until it gives something true, and returns that."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout} s for {what}")
        pause.wait(0.05)
    return result


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self):
        return json.loads(self.body)

    def problem(self):
        """The slug of a problem's type: unbound-stream."""
        assert self.headers["Content-Type"] == "application/problem+json", self
        return self.json()["type"].removeprefix("/problems/")


class Gateway:
    """A gateway process that listens on a loopback port of its own."""

    def __init__(self, binary, kafka, prefix, log_path):
        self.kafka = kafka
        self.prefix = prefix
        self._log_path = log_path
        with open(log_path, "wb") as log:
            self._process = subprocess.Popen(
                [binary, "--kafka-servers", kafka, "--topic-prefix", prefix, "--listen", "127.0.0.1:0"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "SLUICE_LOG_STREAM": LOG_STREAM, "SLUICE_WEBHOOKS_ALLOW_NETWORKS": "127.0.0.0/8"},
                start_new_session=True,  # signals to the tests' group are not for it: it is stopped in order
            )
        try:
            self._address = wait_for("the gateway's address in its log", self._listening, START_TIMEOUT)
            wait_for("the gateway to be ready", lambda: self.call("GET", "/health/ready").status == 200, START_TIMEOUT)
        except BaseException:
            self.stop()
            raise

    def _listening(self):
        if self._process.poll() is not None:
            raise RuntimeError(f"the gateway ended with status {self._process.returncode}")
        with open(self._log_path, encoding="utf-8") as log:
            found = re.search(r'"url":"http://([^"]+)"', log.read())
        return found and found[1]

    def stop(self):
        """Ends the process and gives its exit status: 66 if it saw a data race."""
        self._process.terminate()
        try:
            return self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def topic(self, stream):
        """The name of a stream's topic, for Kafka's own clients."""
        return self.prefix + stream

    def call(self, method, path, body=None, headers=()):
        """One request. headers are pairs, so that a name can repeat."""
        connection = http.client.HTTPConnection(self._address, timeout=REQUEST_TIMEOUT)
        try:
            connection.putrequest(method, path)
            for name, value in headers:
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def send(self, method, path, value):
        """A request whose body is value as JSON."""
        return self.call(method, path, json.dumps(value).encode(), [("Content-Type", "application/json")])

    def register(self, name, schema, *streams):
        """Registers the next version of a schema and binds the streams to it."""
        answer = self.send("POST", f"/schemas/{name}/versions", {"schema": schema, "streams": list(streams)})
        assert answer.status == 201, answer
        return answer.json()

    def publish(self, stream, data, headers=(), **query):
        """Publishes one record; data is its JSON text. Gives the record object."""
        answer = self.try_publish(stream, data, headers, **query)
        assert answer.status == 201, answer
        return answer.json()

    def try_publish(self, stream, data, headers=(), **query):
        path = f"/streams/{quote(stream)}?{urlencode(query)}"
        return self.call("POST", path, data.encode(), [("Content-Type", "application/json"), *headers])

    def publish_lines(self, stream, lines):
        """Publishes record objects, given as JSON texts. Gives one result each."""
        body = "".join(line + "\n" for line in lines).encode()
        answer = self.call("POST", f"/streams/{quote(stream)}", body, [("Content-Type", "application/x-ndjson")])
        assert answer.status == 201, answer
        return answer.json()["results"]

    def read(self, stream, partition, offset):
        """One record, as the gateway answers it."""
        return self.call("GET", f"/streams/{quote(stream)}/records/{partition}/{offset}")
