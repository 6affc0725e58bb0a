"""A key's partition is the one that Java's and Python's clients choose."""

import base64
import json
import random

import pytest
from clients import Confluent, KafkaPython, ToWrite

PARTITIONS = 7


def some_keys():
    """200 keys: empty, text of several scripts, bytes that are no text."""
    choose = random.Random(1)
    keys = [b"", b"0", b" ", "ключ".encode(), "鍵".encode(), "é".encode(), "😀".encode(), b"\x00", b"\xff"]
    keys += [f"order-{i}".encode() for i in range(60)]
    keys += ["".join(choose.choices("aбγ漢😀", k=choose.randint(3, 20))).encode() + b"%d" % i for i in range(60)]
    keys += [choose.randbytes(choose.randint(4, 40)) for _ in range(200 - len(keys))]
    return keys


def as_json(key):
    try:
        return key.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(key).decode()}


@pytest.mark.parametrize("client", [Confluent, KafkaPython])
def test_partition_of_a_key(gateway, kafka, stream, schema_name, client):
    gateway.register(schema_name, True)
    change = {"schema": schema_name, "partitions": PARTITIONS}
    assert gateway.send("PUT", f"/streams/{stream}", change).status == 201

    keys = some_keys()
    assert len(set(keys)) == 200
    lines = [json.dumps({"key": as_json(key), "data": 1}) for key in keys]
    ours = {key: r["partition"] for key, r in zip(keys, gateway.publish_lines(stream, lines))}
    places = client(kafka).write(gateway.topic(stream), [ToWrite(key, b"1") for key in keys])
    theirs = {key: partition for key, (partition, _) in zip(keys, places)}

    assert ours == theirs
    assert set(ours.values()) == set(range(PARTITIONS))


def test_the_empty_key_by_query(gateway, kafka, stream, schema_name):
    """Without a key the partition is random; the empty key has a fixed one."""
    gateway.register(schema_name, True)
    change = {"schema": schema_name, "partitions": PARTITIONS}
    assert gateway.send("PUT", f"/streams/{stream}", change).status == 201

    ours = {gateway.publish(stream, "1", key="")["partition"] for _ in range(10)}
    ((theirs, _),) = KafkaPython(kafka).write(gateway.topic(stream), [ToWrite(b"", b"1")])
    assert ours == {theirs}
