"""kafkaesk's logging extension and the gateway share log streams and their schema."""

import asyncio
import logging

import aiokafka
import kafkaesk
import pydantic
import pytest
from gateway import LOG_STREAM
from kafkaesk.ext.logging import PydanticKafkaeskHandler, PydanticLogModel

TIMEOUT = 60  # seconds
SCHEMA = "PydanticLogModel"


class Order(pydantic.BaseModel):
    """What kafkaesk takes from a log call's arguments into the record."""

    _is_log_model = True
    order: int


class Consumed(pydantic.BaseModel):
    """A consumer's view: all members that kafkaesk's records have."""

    model_config = pydantic.ConfigDict(extra="allow")

    timestamp: str
    logger: str
    severity: str
    level: int
    message: str
    exception: str | None
    trace: str | None
    stack: str | None
    hostname: str
    service: str
    namespace: str | None
    cluster: str | None


@pytest.fixture
def app(gateway):
    return kafkaesk.Application([gateway.kafka], topic_prefix=gateway.prefix)


def bounded(coroutine):
    async def within():
        return await asyncio.wait_for(coroutine, TIMEOUT)

    return asyncio.run(within())


def log_with_kafkaesk(app, stream):
    """Logs as a program does, and waits until all is published."""

    async def run():
        async with app:
            handler = PydanticKafkaeskHandler(app, stream)
            log = logging.Logger("shop.orders")
            log.addHandler(handler)
            log.info("order %s", "placed", Order(order=4711))
            try:
                raise ValueError("no such article")
            except ValueError:
                log.exception("order failed", stack_info=True)
            await handler._queue.flush()
            await app.flush()
            handler.close()

    bounded(run())


def records(gateway, stream):
    answer = gateway.call("GET", f"/streams/{stream}/records")
    assert answer.status == 200, answer
    # kafkaesk's flush and its worker publish at the same time, in any order.
    return sorted(answer.json()["records"], key=lambda record: record["data"]["timestamp"])


def test_the_gateway_reads_and_validates_kafkaesks_logs(gateway, app, stream):
    assert gateway.send("PUT", f"/streams/{stream}", {"schema": SCHEMA, "partitions": 1}).status == 201
    log_with_kafkaesk(app, stream)

    placed, failed = records(gateway, stream)
    assert placed["schema"] == failed["schema"] == f"{SCHEMA}:1"
    assert placed["data"] | {"message": "order placed", "severity": "INFO", "level": 20, "order": 4711} == placed["data"]
    assert failed["data"]["exception"] == "ValueError"
    assert "no such article" in failed["data"]["stack"]
    for record in (placed, failed):
        answer = gateway.send("POST", f"/schemas/{SCHEMA}/versions/1/validate", record["data"])
        assert answer.status == 200, answer


def test_kafkaesks_logs_can_be_published_over_http(gateway, app, stream):
    """What a program logged through kafkaesk, any other may publish."""
    assert gateway.send("PUT", f"/streams/{stream}", {"schema": SCHEMA, "partitions": 1}).status == 201
    log_with_kafkaesk(app, stream)
    for record in records(gateway, stream):
        assert gateway.send("POST", f"/streams/{stream}", record["data"]).status == 201


def test_kafkaesk_consumes_the_gateways_own_log(gateway, app):
    received = []

    @app.subscribe(LOG_STREAM, group=f"{gateway.prefix}logs")
    async def subscriber(data: Consumed, schema: str, record: aiokafka.ConsumerRecord):
        received.append((schema, data))

    async def run():
        async with app:
            await app.consume_for(1, seconds=TIMEOUT // 2)

    bounded(run())
    schema, data = received[0]
    assert (schema, data.severity, data.level, data.service) == (f"{SCHEMA}:1", "INFO", 20, "sluice")
    assert data.logger.startswith("sluice")
    assert PydanticLogModel(**data.model_dump()).message == data.message
