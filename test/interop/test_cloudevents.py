"""What CloudEvents' own library for Python sends to the gateway comes out of
Kafka as the same event, and what it writes to Kafka is pushed to its receivers
as the same event, in each mode of both bindings."""

import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from clients import KafkaPython, ToWrite, create_topic
from cloudevents.core.bindings import http, kafka as kafka_binding
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from gateway import wait_for

FORMAT = JSONFormat()
TIME = datetime(2018, 4, 5, 17, 31, 0, 123000, UTC)


def event(number, data, **more):
    attributes = {"specversion": "1.0", "id": f"e{number}", "type": "com.example.someevent", "source": "/mycontext"}
    return CloudEvent({**attributes, "time": TIME, "datacontenttype": "application/json", **more}, data)


# The first subject is the HTTP binding's example.
EVENTS = [
    event(1, {"n": 1}, subject="Euro € 😀"),
    event(2, {"text": "ü €\n"}, subject='100% "quoted" %20', comexampleextension1="value", partitionkey="k1"),
    event(3, {"n": 1}, datacontenttype="application/vnd.example+json", dataschema="https://example.com/schema#a"),
]
# The gateway publishes JSON alone; Kafka's other clients write what they like.
OTHERS = [
    event(4, b"\x00\xff\n", datacontenttype="application/octet-stream"),
    event(5, '<much wow="xml"/>', datacontenttype="text/xml", subject="123"),
]


def assert_same(got, wanted):
    """bytes and text are not told apart by all modes."""

    def plain(data):
        return data.encode() if isinstance(data, str) else data

    assert got.get_attributes() == wanted.get_attributes()
    assert plain(got.get_data()) == plain(wanted.get_data())


@contextmanager
def receiver():
    """Takes deliveries, and gives the list of them."""
    taken = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            taken.append(http.HTTPMessage(dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", taken
        server.shutdown()


@pytest.mark.parametrize("write", [http.to_binary, http.to_structured], ids=["binary", "structured"])
def test_published_events_are_in_kafka(gateway, kafka, stream, schema_name, write):
    gateway.register(schema_name, True)
    for sent in EVENTS:
        message = write(sent, FORMAT)
        answer = gateway.call("POST", f"/streams/{stream}?schema={schema_name}&partition=0", message.body, message.headers.items())
        assert answer.status == 201, answer
    records = KafkaPython(kafka).read(gateway.topic(stream), len(EVENTS))
    for record, sent in zip(records, EVENTS, strict=True):
        message = kafka_binding.KafkaMessage(dict(record.headers), record.key, record.value)
        assert_same(kafka_binding.from_kafka(message, FORMAT), sent)
        assert record.key == (sent.get_extension("partitionkey") or "").encode() or record.key is None


@pytest.mark.parametrize("view", ["cloudevents", "cloudevents-structured"])
@pytest.mark.parametrize("write", [kafka_binding.to_binary, kafka_binding.to_structured], ids=["binary", "structured"])
def test_events_in_kafka_are_delivered(gateway, kafka, stream, write, view):
    topic = gateway.topic(stream)
    create_topic(kafka, topic)
    messages = [write(written, FORMAT) for written in EVENTS + OTHERS]
    as_bytes = [m.key.encode() if isinstance(m.key, str) else m.key for m in messages]
    KafkaPython(kafka).write(
        topic, [ToWrite(key, m.value, list(m.headers.items())) for key, m in zip(as_bytes, messages, strict=True)]
    )
    with receiver() as (url, taken):
        endpoint = {"id": stream, "streams": stream, "from": "earliest", "view": view, "endpoint": {"url": url}}
        assert gateway.send("POST", "/subscriptions", endpoint).status == 201
        wait_for("the deliveries", lambda: len(taken) >= len(messages), 60)
        assert gateway.call("DELETE", f"/subscriptions/{stream}").status == 204
    read = {got.get_id(): got for got in (http.from_http(message, FORMAT) for message in taken)}
    for written in EVENTS + OTHERS:
        assert_same(read[written.get_id()], written)
