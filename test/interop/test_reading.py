"""confluent-kafka and kafka-python read what the gateway publishes."""

from datetime import datetime

import pytest
from clients import Confluent, KafkaPython

BOTH = pytest.mark.parametrize("client", [Confluent, KafkaPython])

BINARY = b"\x00\xff\xfe\x80"
BINARY_JSON = '{"base64":"AP/+gA=="}'


@pytest.fixture
def topic(gateway, stream, schema_name):
    """A stream of one partition for any data; gives (stream, topic, schema)."""
    gateway.register(schema_name, True)
    answer = gateway.send("PUT", f"/streams/{stream}", {"schema": schema_name, "partitions": 1})
    assert answer.status == 201, answer
    return stream, gateway.topic(stream), f"{schema_name}:1"


def envelope(schema, data):
    return b'{"schema":"%s","data":%s}' % (schema.encode(), data.encode())


@BOTH
def test_keys(gateway, kafka, topic, client):
    stream, topic, _ = topic
    keys = {"null": None, '""': b"", '"k"': b"k", '"ключ \\u0000"': "ключ \0".encode(), BINARY_JSON: BINARY}
    gateway.publish_lines(stream, [f'{{"key":{key},"data":1}}' for key in keys])

    assert [r.key for r in client(kafka).read(topic, len(keys))] == list(keys.values())


@BOTH
def test_headers(gateway, kafka, topic, client):
    stream, topic, _ = topic
    headers = (
        '{"Case":"kept","null":null,"empty":"","binary":' + BINARY_JSON + ","
        '"repeated":["1",null,"",' + BINARY_JSON + ',"1"],"имя":"значение"}'
    )
    gateway.publish_lines(stream, [f'{{"headers":{headers},"data":1}}', '{"data":2}'])

    first, second = client(kafka).read(topic, 2)
    assert first.headers == [
        ("Case", b"kept"),
        ("null", None),
        ("empty", b""),
        ("binary", BINARY),
        ("repeated", b"1"),
        ("repeated", None),
        ("repeated", b""),
        ("repeated", BINARY),
        ("repeated", b"1"),
        ("имя", "значение".encode()),
    ]
    assert second.headers == []


@BOTH
def test_one_record_of_http_headers_and_query(gateway, kafka, topic, client):
    stream, topic, schema = topic
    sent = [
        ("Kafka-Header-Source", "shop"),
        ("Kafka-Header-Source", "again"),
        ("Kafka-Header-Empty", ""),
        ("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ]
    gateway.publish(stream, '{"a":1}', sent, key="ключ+ &", timestamp="2026-01-31T12:00:00.123Z")
    gateway.publish(stream, "{}", key="")

    first, second = client(kafka).read(topic, 2)
    assert sorted(first.headers) == [
        ("empty", b""),
        ("source", b"again"),
        ("source", b"shop"),
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ]
    assert [value for name, value in first.headers if name == "source"] == [b"shop", b"again"]
    assert (first.key, first.timestamp) == ("ключ+ &".encode(), 1769860800123)
    assert first.value == envelope(schema, '{"a":1}')
    assert (second.key, second.headers) == (b"", [])


@BOTH
def test_timestamps(gateway, kafka, topic, client):
    stream, topic, _ = topic
    given = {
        "1": 1,
        "1769860800123": 1769860800123,
        '"2026-01-31T12:00:00.123Z"': 1769860800123,
        '"2026-01-31T14:00:00+02:00"': 1769860800000,
        '"1999-12-31T23:59:59.999Z"': 946684799999,
    }
    gateway.publish_lines(stream, [f'{{"timestamp":{text},"data":1}}' for text in given])
    now = gateway.publish(stream, "1")

    records = client(kafka).read(topic, len(given) + 1)
    assert [r.timestamp for r in records[:-1]] == list(given.values())
    assert records[-1].timestamp == milliseconds(now["timestamp"])


@BOTH
def test_timestamp_zero(gateway, kafka, topic, client):
    """The first millisecond of 1970 is stored, or refused."""
    stream, topic, _ = topic
    answer = gateway.try_publish(stream, "1", timestamp="0")
    if answer.status == 400:
        return
    (record,) = client(kafka).read(topic, 1)
    assert (record.timestamp, answer.json()["timestamp"]) == (0, "1970-01-01T00:00:00.000Z")


@BOTH
def test_timestamps_of_the_broker(gateway, kafka, stream, schema_name, client):
    """Where the broker sets the time, the answer has the broker's or none."""
    gateway.register(schema_name, True)
    change = {"schema": schema_name, "partitions": 1, "config": {"message.timestamp.type": "LogAppendTime"}}
    assert gateway.send("PUT", f"/streams/{stream}", change).status == 201
    answer = gateway.publish(stream, "1", timestamp="2020-01-01T00:00:00Z")

    (record,) = client(kafka).read(gateway.topic(stream), 1)
    assert record.timestamp > milliseconds("2026-01-01T00:00:00Z")
    assert answer["timestamp"] is None or milliseconds(answer["timestamp"]) == record.timestamp


@BOTH
def test_tombstones(gateway, kafka, topic, client):
    stream, topic, schema = topic
    gateway.publish_lines(stream, ['{"key":"a","data":null}', '{"key":"a","value":null}'])
    assert gateway.call("POST", f"/streams/{stream}?key=b&tombstone=true").status == 201

    records = client(kafka).read(topic, 3)
    assert [(r.key, r.value) for r in records] == [(b"a", envelope(schema, "null")), (b"a", None), (b"b", None)]


@BOTH
def test_data_byte_for_byte(gateway, kafka, topic, client):
    stream, topic, schema = topic
    texts = [
        '{"b" : 1.0,\t"a":12345678901234567890.10, "a b":[ ]}',
        '"\\u00e9 é \\/ 😀 <&>"',
        "1e400",
        "-0",
        '{"schema":"Other:1","data":{}}',
    ]
    for text in texts:
        gateway.publish(stream, text)
    gateway.publish_lines(stream, [f'{{"data":{text}}}' for text in texts])

    want = [envelope(schema, text) for text in texts]
    assert [r.value for r in client(kafka).read(topic, 2 * len(texts))] == want + want


@BOTH
def test_without_envelope(gateway, kafka, stream, schema_name, client):
    gateway.register(schema_name, True)
    change = {"schema": schema_name, "partitions": 1, "envelope": False}
    assert gateway.send("PUT", f"/streams/{stream}", change).status == 201
    gateway.publish_lines(stream, ['{"headers":{"a":"b"},"data":{"x": 1}}'])

    (record,) = client(kafka).read(gateway.topic(stream), 1)
    assert record.value == b'{"x": 1}'
    assert sorted(record.headers) == [("a", b"b"), ("sluice_schema", f"{schema_name}:1".encode())]


@BOTH
def test_places(gateway, kafka, topic, client):
    """Partition and offset of the answer are where the record lies."""
    stream, topic, schema = topic
    results = gateway.publish_lines(stream, [f'{{"data":{i}}}' for i in range(300)])

    got = {(r.partition, r.offset): r.value for r in client(kafka).read(topic, 300)}
    assert got == {(r["partition"], r["offset"]): envelope(schema, str(i)) for i, r in enumerate(results)}


def milliseconds(text):
    return round(datetime.fromisoformat(text).timestamp() * 1000)
