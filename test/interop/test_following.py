"""The examples that follow a stream, run as their users run them: they print
each record once, in order, over cut connections and another gateway."""

import os
import pathlib
import re
import secrets
import shutil
import socket
import subprocess
import threading

import pytest
from gateway import Gateway, wait_for

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
PROGRAMS = {"follow.sh": "bash", "follow.py": "python3", "follow.mjs": "node"}


@pytest.fixture(params=PROGRAMS)
def program(request):
    """The command of one example."""
    interpreter = PROGRAMS[request.param]
    for needed in {interpreter, "curl" if interpreter == "bash" else interpreter}:
        if not shutil.which(needed):
            if os.environ.get("SLUICE_TEST_NO_SKIP"):
                pytest.fail(f"{needed} is missing, and SLUICE_TEST_NO_SKIP is set")
            pytest.skip(f"SKIPPED: {needed} is missing")
    return [interpreter, str(EXAMPLES / request.param)]


class Relay:
    """A port of its own that passes everything on to a gateway, and can cut
    whatever runs through it."""

    def __init__(self, target):
        self.target = target  # (host, port); None: nobody is there
        self._lock = threading.Lock()
        self._open = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            try:
                upstream = socket.create_connection(self.target)
            except (OSError, TypeError):
                client.close()
                continue
            with self._lock:
                self._open += [client, upstream]
            for pair in ((client, upstream), (upstream, client)):
                threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    @staticmethod
    def _pass_on(source, destination):
        try:
            while data := source.recv(65536):
                destination.sendall(data)
        except OSError:
            pass
        for s in (source, destination):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self, target):
        """Cuts all connections; new ones go to target."""
        self.target = target
        with self._lock:
            for s in self._open:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self._open = []

    def close(self):
        self.cut(None)
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class Following:
    """An example that runs, and what it has printed."""

    def __init__(self, command, url, log_path):
        self._path = log_path
        with open(log_path, "wb") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                env={**os.environ, "SLUICE_URL": url}, start_new_session=True,
            )  # fmt: skip

    def text(self):
        return pathlib.Path(self._path).read_text()

    def numbers(self):
        """The member n of each record's data, as far as lines are complete."""
        return [int(n) for n in re.findall(r'\{"n": ?(\d+)\}.*\n', self.text())]

    def await_numbers(self, count):
        wait_for(f"{count} records", lambda: len(self.numbers()) >= count or self.process.poll() is not None)
        assert self.numbers() == list(range(count)), self.text()

    def stop(self):
        """Ends it, and what it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, 15)
        self.process.wait(30)


@pytest.fixture
def follow(program, tmp_path):
    """Starts the example."""
    started = []

    def start(url, *arguments):
        started.append(Following([*program, *arguments], url, tmp_path / f"out{len(started)}"))
        return started[-1]

    yield start
    for following in started:
        following.stop()


def address(gateway):
    host, _, port = gateway._address.rpartition(":")
    return host, int(port)


@pytest.fixture
def numbers(gateway, stream, schema_name):
    """Publishes {"n":…} to a stream of one partition, counting on."""
    gateway.register(schema_name, True)
    assert gateway.send("PUT", f"/streams/{stream}", {"schema": schema_name, "partitions": 1}).status == 201
    published = 0

    def publish(count):
        nonlocal published
        gateway.publish_lines(stream, [f'{{"data":{{"n":{n}}}}}' for n in range(published, published + count)])
        published += count

    return publish


def test_follows_over_cuts(gateway, kafka, stream, numbers, follow, tmp_path):
    other = Gateway(os.environ["INTEROP_GATEWAY"], kafka, gateway.prefix, tmp_path / "gateway.log")
    relay = Relay(address(gateway))
    try:
        numbers(5)
        example = follow(relay.url, stream, "earliest")
        example.await_numbers(5)
        relay.cut(None)  # nobody there for a while
        numbers(5)
        relay.cut(address(gateway))
        example.await_numbers(10)
        numbers(5)
        example.await_numbers(15)
        relay.cut(address(other))  # as behind a load balancer
        numbers(5)
        example.await_numbers(20)
    finally:
        relay.close()
        assert other.stop() == 0


def test_follows_a_restarted_gateway(gateway, kafka, stream, numbers, follow, tmp_path):
    """A gateway that stops tells its readers; they come back by themselves."""
    first = Gateway(os.environ["INTEROP_GATEWAY"], kafka, gateway.prefix, tmp_path / "first.log")
    relay = Relay(address(first))
    try:
        numbers(3)
        example = follow(relay.url, stream, "earliest")
        example.await_numbers(3)
        relay.target = address(gateway)
        assert first.stop() == 0
        numbers(3)
        example.await_numbers(6)
    finally:
        relay.close()
        first.stop()


def test_tells_what_is_wrong(gateway, follow):
    example = follow("http://%s:%d" % address(gateway), f"nothing-{secrets.token_hex(4)}")
    assert example.process.wait(30) == 1
    assert "unknown-stream" in example.text()
