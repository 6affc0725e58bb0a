"""confluent-kafka and kafka-python behind the few verbs the tests need.

A record's headers are a list of (name, bytes or None), key and value bytes or
None, the timestamp milliseconds since 1970, for both of them.
"""

import functools
import time
from typing import NamedTuple, Optional

import confluent_kafka
import kafka as kafka_python
from kafka.admin import KafkaAdminClient, NewTopic

TIMEOUT = 30  # seconds


class Record(NamedTuple):
    partition: int
    offset: int
    timestamp: int
    key: Optional[bytes]
    headers: list
    value: Optional[bytes]


class ToWrite(NamedTuple):
    """What a test writes; timestamp None is now, partition None lets the key decide."""

    key: Optional[bytes] = None
    value: Optional[bytes] = None
    headers: list = []
    timestamp: Optional[int] = None
    partition: Optional[int] = None


def create_topic(kafka, topic, partitions=1, **config):
    """Creates a topic; underscores in the names of settings stand for dots."""
    settings = {name.replace("_", "."): value for name, value in config.items()}
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    try:
        admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=settings)])
    finally:
        admin.close()


class Confluent:
    """librdkafka's Python binding, with Java's partitioner."""

    writes_null_headers = True

    def __init__(self, kafka):
        self._kafka = kafka

    def write(self, topic, records, **settings):
        """Writes the records and gives (partition, offset) of each."""
        options = {name.replace("_", "."): value for name, value in settings.items()}
        producer = confluent_kafka.Producer(
            {"bootstrap.servers": self._kafka, "partitioner": "murmur2_random", "acks": "all", **options}
        )
        places = [None] * len(records)
        for i, record in enumerate(records):
            self._produce(producer, topic, record, functools.partial(self._reported, places, i))
        assert producer.flush(TIMEOUT) == 0
        return places

    @staticmethod
    def _produce(producer, topic, record, report):
        optional = {"timestamp": record.timestamp, "partition": record.partition}
        producer.produce(
            topic,
            value=record.value,
            key=record.key,
            headers=record.headers,
            on_delivery=report,
            **{name: value for name, value in optional.items() if value is not None},
        )

    @staticmethod
    def _reported(places, i, error, message):
        assert error is None, error
        places[i] = (message.partition(), message.offset())

    def read(self, topic, count):
        """The first count records of partition 0, in order."""
        consumer = confluent_kafka.Consumer({"bootstrap.servers": self._kafka, "group.id": "unused"})
        try:
            consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
            records, deadline = [], time.monotonic() + TIMEOUT
            while len(records) < count:
                assert time.monotonic() < deadline, f"{len(records)} of {count} records after {TIMEOUT} s"
                message = consumer.poll(0.5)
                if message is not None:
                    assert message.error() is None, message.error()
                    records.append(self._record(message))
            return records
        finally:
            consumer.close()

    @staticmethod
    def _record(message):
        _, timestamp = message.timestamp()
        headers = message.headers() or []
        return Record(message.partition(), message.offset(), timestamp, message.key(), headers, message.value())


class KafkaPython:
    """The client in pure Python, with its DefaultPartitioner."""

    writes_null_headers = False  # it reads them, and refuses to write them

    def __init__(self, kafka):
        self._kafka = kafka

    def write(self, topic, records, **settings):
        producer = kafka_python.KafkaProducer(bootstrap_servers=self._kafka, **settings)
        try:
            futures = [
                producer.send(topic, record.value, record.key, record.headers, record.partition, record.timestamp)
                for record in records
            ]
            stored = [future.get(TIMEOUT) for future in futures]
            return [(metadata.partition, metadata.offset) for metadata in stored]
        finally:
            producer.close(timeout=TIMEOUT)

    def read(self, topic, count):
        consumer = kafka_python.KafkaConsumer(bootstrap_servers=self._kafka, enable_auto_commit=False)
        try:
            partition = kafka_python.TopicPartition(topic, 0)
            consumer.assign([partition])
            consumer.seek_to_beginning(partition)
            records, deadline = [], time.monotonic() + TIMEOUT
            while len(records) < count:
                assert time.monotonic() < deadline, f"{len(records)} of {count} records after {TIMEOUT} s"
                records += consumer.poll(timeout_ms=500).get(partition, [])
            return [self._record(r) for r in records]
        finally:
            consumer.close()

    @staticmethod
    def _record(r):
        return Record(r.partition, r.offset, r.timestamp, r.key, list(r.headers), r.value)
