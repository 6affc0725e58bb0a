"""The gateway reads what confluent-kafka and kafka-python write."""

import base64
import json

import confluent_kafka
import pytest
from clients import TIMEOUT, Confluent, KafkaPython, ToWrite, create_topic
from gateway import wait_for

BOTH = pytest.mark.parametrize("client", [Confluent, KafkaPython])

BINARY = b"\x00\xff\xfe\x80"
BINARY_JSON = {"base64": base64.b64encode(BINARY).decode()}
AVRO = b"\x00\x00\x00\x00\x07\x02\x06foo\x80\x01"  # magic, schema id 7, fields


@pytest.fixture
def topic(gateway, kafka, stream):
    """A topic that a Kafka client made, under the gateway's prefix."""
    topic = gateway.topic(stream)
    create_topic(kafka, topic)
    return topic


@pytest.fixture
def round_trip(gateway, kafka, stream, topic):
    """Writes records with a client; gives the gateway's answers."""

    def write_and_read(client, records, **settings):
        answers = []
        for partition, offset in client(kafka).write(topic, records, **settings):
            answer = gateway.read(stream, partition, offset)
            assert answer.status == 200, answer
            record = answer.json()
            assert (record["stream"], record["partition"], record["offset"]) == (stream, partition, offset)
            answers.append((record, answer.body))
        return answers

    return write_and_read


@BOTH
def test_keys(round_trip, client):
    keys = [None, b"", b"k", "ключ \0".encode(), BINARY, b"\xed\xa0\x80"]
    answers = round_trip(client, [ToWrite(key, b"1") for key in keys])

    got = [record["key"] for record, _ in answers]
    assert got == [None, "", "k", "ключ \0", BINARY_JSON, {"base64": "7aCA"}]


@BOTH
def test_headers(round_trip, client):
    null, null_json = (None, None) if client.writes_null_headers else (b"", "")
    headers = [
        ("Case", b"kept"),
        ("repeated", b"1"),
        ("null", null),
        ("empty", b""),
        ("repeated", null),
        ("binary", BINARY),
        ("repeated", BINARY),
        ("имя", "значение".encode()),
    ]
    (first, _), (second, _) = round_trip(client, [ToWrite(None, b"1", headers), ToWrite(None, b"1")])

    assert first["headers"] == {
        "Case": "kept",
        "null": null_json,
        "empty": "",
        "binary": BINARY_JSON,
        "repeated": ["1", null_json, BINARY_JSON],
        "имя": "значение",
    }
    assert second["headers"] == {}


@BOTH
def test_timestamps(round_trip, client):
    given = {1: "1970-01-01T00:00:00.001Z", 1769860800123: "2026-01-31T12:00:00.123Z"}
    if client is KafkaPython:  # to librdkafka, 0 is now
        given[0] = "1970-01-01T00:00:00.000Z"
    answers = round_trip(client, [ToWrite(None, b"1", [], timestamp) for timestamp in given])

    assert [record["timestamp"] for record, _ in answers] == list(given.values())


@BOTH
def test_envelopes(round_trip, client):
    texts = ['{"b" : 1.0,\t"a":12345678901234567890.10}', "null", '"é"', "[]"]
    answers = round_trip(client, [ToWrite(None, f'{{"schema":"Order:1","data":{text}}}'.encode()) for text in texts])

    for (record, body), text in zip(answers, texts):
        assert record["schema"] == "Order:1"
        assert record["data"] == json.loads(text)
        assert f'"data":{text}'.encode() in body
        assert "value" not in record


@BOTH
def test_json_without_envelope(round_trip, client):
    texts = ['{"a" : 1.0}', "null", "12345678901234567890.10", '{"schema":"Order:1","data":1,"more":2}', '{"data":1}']
    answers = round_trip(client, [ToWrite(None, text.encode()) for text in texts])

    for (record, body), text in zip(answers, texts):
        assert record["schema"] is None
        assert record["data"] == json.loads(text)
        assert f'"data":{text}'.encode() in body


@BOTH
def test_values_that_are_no_json(round_trip, client):
    values = [AVRO, b"", b"plain text", b'{"cut off":', b'"\xff"', b"{} {}", b"NaN"]
    answers = round_trip(client, [ToWrite(b"k", value) for value in values])

    for (record, _), value in zip(answers, values):
        assert base64.b64decode(record["value"]["base64"], validate=True) == value
        assert record["schema"] is None
        assert "data" not in record


@BOTH
def test_tombstones(round_trip, client):
    ((record, _),) = round_trip(client, [ToWrite(b"k", None)])

    assert record["value"] is None
    assert "data" not in record


@pytest.mark.parametrize(
    "client, codec",
    [(Confluent, codec) for codec in ("gzip", "snappy", "lz4", "zstd")] + [(KafkaPython, "gzip")],
)
def test_compression(round_trip, client, codec):
    records = [ToWrite(b"k", b'{"i":%d,"text":"%s"}' % (i, b"x" * 200)) for i in range(20)]
    answers = round_trip(client, records, compression_type=codec)

    assert [record["data"]["i"] for record, _ in answers] == list(range(20))


def test_transactions(gateway, kafka, stream, topic):
    """What a transaction took back is not read; what it committed is."""
    producer = confluent_kafka.Producer({"bootstrap.servers": kafka, "transactional.id": topic})
    producer.init_transactions(TIMEOUT)
    offsets = []
    for value, end in ((b'"taken back"', producer.abort_transaction), (b'"kept"', producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value, on_delivery=lambda error, message: offsets.append(message.offset()))
        assert producer.flush(TIMEOUT) == 0
        end(TIMEOUT)

    taken_back, kept = offsets
    # A commit is acknowledged a moment before it can be seen.
    answer = wait_for("the committed record", lambda: (a := gateway.read(stream, 0, kept)).status == 200 and a)
    assert answer.json()["data"] == "kept"
    for offset in (taken_back, taken_back + 1, kept + 1):  # between them, the broker's marks
        answer = gateway.read(stream, 0, offset)
        assert (answer.status, answer.problem()) == (404, "unknown-record")
