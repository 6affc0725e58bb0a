"""kafkaesk and the gateway share streams.

kafkaesk's messages are the gateway's envelope, its topic prefix the gateway's,
and its pydantic models the schemas that are registered at the gateway.
"""

import asyncio
import json
from typing import NamedTuple, Optional

import aiokafka
import kafkaesk
import pytest
from pydantic import BaseModel, Field

TIMEOUT = 60  # seconds; kafkaesk's consumer itself waits 2 s at its start


class Line(BaseModel):
    article: str
    count: int = Field(ge=1)


class Received(NamedTuple):
    stream: str
    schema: str
    data: object
    key: Optional[bytes]
    headers: list


@pytest.fixture
def app(gateway):
    return kafkaesk.Application([gateway.kafka], topic_prefix=gateway.prefix)


@pytest.fixture
def order(app, schema_name):
    """A model known to the application under the name schema_name, version 1."""

    class Order(BaseModel):
        id: int
        customer: str
        lines: list[Line] = []
        note: Optional[str] = None

    return app.schema(schema_name, version=1)(Order)


def bounded(coroutine):
    async def within():
        return await asyncio.wait_for(coroutine, TIMEOUT)

    return asyncio.run(within())


def consume(app, gateway, model, pattern, count):
    """The first count messages of a pattern, as a kafkaesk subscriber gets them."""
    received = []

    @app.subscribe(pattern, group=f"{gateway.prefix}group")
    async def subscriber(data: model, schema: str, record: aiokafka.ConsumerRecord):
        stream = record.topic.removeprefix(gateway.prefix)
        received.append(Received(stream, schema, data, record.key, list(record.headers)))

    async def run():
        async with app:
            await app.consume_for(count, seconds=TIMEOUT // 2)

    bounded(run())
    return received


def publish(app, stream, data, **options):
    async def run():
        async with app:
            return await app.publish_and_wait(stream, data, **options)

    return bounded(run())


def test_kafkaesk_consumes_what_the_gateway_publishes(gateway, app, order, schema_name, stream):
    gateway.register(schema_name, order.model_json_schema(), stream)
    data = {"id": 1, "customer": "Zoë", "lines": [{"article": "ключ", "count": 2}]}
    gateway.publish(stream, json.dumps(data), [("Kafka-Header-Source", "shop")], key="k")

    assert consume(app, gateway, order, stream, 1) == [
        Received(stream, f"{schema_name}:1", order(**data), b"k", [("source", b"shop")])
    ]


def test_kafkaesk_consumes_a_pattern_and_passes_over_tombstones(gateway, app, order, schema_name, stream):
    gateway.register(schema_name, order.model_json_schema(), f"{stream}.eu", f"{stream}.us", f"{stream}x")
    gateway.publish(f"{stream}x", '{"id":0,"customer":"not of the pattern"}')
    assert gateway.call("POST", f"/streams/{stream}.eu?key=k&tombstone=true").status == 201
    gateway.publish(f"{stream}.eu", '{"id":1,"customer":"a"}', key="k")
    gateway.publish(f"{stream}.us", '{"id":2,"customer":"b"}', key="k")

    received = consume(app, gateway, order, f"{stream}.*", 3)
    assert sorted((r.stream, r.data.id) for r in received) == [(f"{stream}.eu", 1), (f"{stream}.us", 2)]


def test_what_kafkaesk_could_not_parse_the_gateway_refuses(gateway, order, schema_name, stream):
    gateway.register(schema_name, order.model_json_schema(), stream)

    answer = gateway.try_publish(stream, '{"id":1,"customer":"a","lines":[{"article":"x","count":0}]}')
    assert (answer.status, answer.problem()) == (422, "schema-violation")
    assert [e["pointer"] for e in answer.json()["errors"]] == ["#/lines/0/count"]


def test_the_gateway_reads_what_kafkaesk_publishes(gateway, app, order, schema_name, stream):
    gateway.register(schema_name, order.model_json_schema(), stream)
    data = order(id=1, customer="Zoë", lines=[Line(article="ключ", count=2)])
    stored = publish(app, stream, data, key=b"k", headers=[("source", b"shop"), ("raw", b"\xff")])

    record = gateway.read(stream, stored.partition, stored.offset).json()
    del record["timestamp"]
    assert record == {
        "stream": stream,
        "partition": stored.partition,
        "offset": stored.offset,
        "key": "k",
        "headers": {"source": "shop", "raw": {"base64": "/w=="}},
        "schema": f"{schema_name}:1",
        "data": {"id": 1, "customer": "Zoë", "lines": [{"article": "ключ", "count": 2}], "note": None},
    }


def test_both_publish_a_key_to_the_same_partition(gateway, app, order, schema_name, stream):
    gateway.register(schema_name, order.model_json_schema())
    assert gateway.send("PUT", f"/streams/{stream}", {"schema": schema_name, "partitions": 7}).status == 201
    keys = [f"ключ-{i}" for i in range(20)]
    data = order(id=1, customer="a")
    ours = [gateway.publish(stream, data.model_dump_json(), key=key)["partition"] for key in keys]

    async def run():
        async with app:
            return [(await app.publish_and_wait(stream, data, key=key.encode())).partition for key in keys]

    assert bounded(run()) == ours
    assert len(set(ours)) > 1


@pytest.fixture
def kafkaesks(gateway, app, order, schema_name, stream):
    """A stream that kafkaesk made, with its first message."""
    app.schemas[f"{schema_name}:1"].streams = [stream]
    app.schemas[f"{schema_name}:1"].retention = 7 * 24 * 3600
    publish(app, stream, order(id=1, customer="a"), key=b"k")
    return stream


def test_a_stream_of_kafkaesk_is_listed(gateway, kafkaesks):
    streams = gateway.call("GET", "/streams").json()["streams"]
    (listed,) = [s for s in streams if s["id"] == kafkaesks]
    assert (listed["schema"], listed["partitions"]) == (None, 7)

    described = gateway.call("GET", f"/streams/{kafkaesks}").json()
    assert (described["schema"], described["partitions"], described["retention"]) == (None, 7, "7d")


def test_a_stream_of_kafkaesk_is_not_published_to_unbound(gateway, order, schema_name, kafkaesks):
    gateway.register(schema_name, order.model_json_schema())
    for named in ({}, {"schema": schema_name}, {"schema": f"{schema_name}:1"}):
        answer = gateway.try_publish(kafkaesks, '{"id":2,"customer":"b"}', key="k", **named)
        assert (answer.status, answer.problem()) == (409, "unbound-stream")
        assert answer.json()["outcome"] == "not_stored"

    described = gateway.call("GET", f"/streams/{kafkaesks}").json()
    assert described["schema"] is None


def bind_by_put(gateway, schema_name, schema, stream):
    gateway.register(schema_name, schema)
    answer = gateway.send("PUT", f"/streams/{stream}", {"schema": f"{schema_name}:1"})
    assert answer.status == 200, answer


def bind_by_put_of_what_was_read(gateway, schema_name, schema, stream):
    gateway.register(schema_name, schema)
    described = gateway.call("GET", f"/streams/{stream}").json()
    answer = gateway.send("PUT", f"/streams/{stream}", {**described, "schema": f"{schema_name}:1"})
    assert answer.status == 200, answer


def bind_by_registration(gateway, schema_name, schema, stream):
    gateway.register(schema_name, schema, stream)


@pytest.mark.parametrize(
    "bind",
    [
        bind_by_put,
        bind_by_registration,
        bind_by_put_of_what_was_read,
    ],
)
def test_a_stream_of_kafkaesk_is_bound_and_shared(gateway, app, order, schema_name, kafkaesks, bind):
    bind(gateway, schema_name, order.model_json_schema(), kafkaesks)
    gateway.publish(kafkaesks, '{"id":2,"customer":"b"}', key="k")

    assert consume(app, gateway, order, kafkaesks, 2) == [
        Received(kafkaesks, f"{schema_name}:1", order(id=1, customer="a"), b"k", []),
        Received(kafkaesks, f"{schema_name}:1", order(id=2, customer="b"), b"k", []),
    ]
