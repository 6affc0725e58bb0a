#!/usr/bin/env python3
"""logs.py: a logging.Handler that publishes to a stream, with the standard library.

It never holds up the program: records go into a bounded queue, from which one
thread publishes them, many at a time. What finds the queue full is dropped and
counted, and told in the stream once there is room again.
"""

import json
import logging
import os
import queue
import socket
import threading
import urllib.error
import urllib.request
from datetime import datetime, timezone

URL = os.environ.get("SLUICE_URL", "http://127.0.0.1:8080")
STANDARD = logging.makeLogRecord({}).__dict__.keys() | {"message", "asctime"}  # what is not `extra`
BATCH, PAUSE, LAST_WORDS = 500, 1.0, 3.0  # records; seconds


class StreamHandler(logging.Handler):
    def __init__(self, stream, size=10_000):
        super().__init__()
        self.url = f"{URL}/streams/{stream}"
        self.queue, self.dropped, self.counting = queue.Queue(size), 0, threading.Lock()
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def emit(self, record):
        try:
            self.queue.put_nowait(self.line(record))
        except queue.Full:
            self.drop(1)
        except Exception:
            self.handleError(record)

    def drop(self, n):
        with self.counting:
            self.dropped += n

    def line(self, r):
        data = {k: v for k, v in r.__dict__.items() if k not in STANDARD}
        data |= {
            "timestamp": datetime.fromtimestamp(r.created, timezone.utc).isoformat(),
            "logger": r.name, "severity": r.levelname, "level": r.levelno, "message": r.getMessage(),
            "exception": r.exc_info[0].__name__ if r.exc_info and r.exc_info[0] else None,
            "stack": logging.Formatter().formatException(r.exc_info) if r.exc_info else None,
            "hostname": socket.gethostname(),
        }
        return json.dumps({"key": data["hostname"], "schema": "PydanticLogModel", "data": data}, default=str)

    def run(self):
        while not (self.closing.is_set() and self.queue.empty()):
            lines = []
            try:
                while len(lines) < BATCH:
                    lines.append(self.queue.get(timeout=0 if lines else 0.1))
            except queue.Empty:
                pass
            while lines and not self.publish(lines) and not self.closing.wait(PAUSE):
                pass
            if self.dropped and not self.queue.full():
                with self.counting:
                    dropped, self.dropped = self.dropped, 0
                told = {"name": __name__, "levelname": "WARNING", "levelno": 30, "msg": "log records were dropped"}
                self.emit(logging.makeLogRecord(told | {"records": dropped}))

    def publish(self, lines):
        """Says whether the lines are settled: queued by the gateway, or refused."""
        headers = {"Content-Type": "application/x-ndjson", "Prefer": "respond-async"}
        try:
            request = urllib.request.Request(self.url, "\n".join(lines).encode(), headers)
            with urllib.request.urlopen(request, timeout=10) as answer:
                self.drop(json.load(answer)["failed"])
        except urllib.error.HTTPError as e:
            with e:
                if e.code in (429, 503):  # later
                    return False
            self.drop(len(lines))
        except OSError:  # no gateway
            return False
        return True

    def close(self):
        """logging calls it when the program ends."""
        self.closing.set()
        self.thread.join(LAST_WORDS)
        super().close()


if __name__ == "__main__":
    logging.getLogger().addHandler(StreamHandler("app-logs"))
    log = logging.getLogger("cellar")
    log.warning("it is warm", extra={"celsius": 21})
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("cannot divide")
