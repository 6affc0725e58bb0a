"""What the tests share: one gateway in front of the Kafka they were given.

The script `run` sets the environment read here.
"""

import os
import secrets
import signal

import pytest
from gateway import Gateway


def pytest_configure():
    """A run that is ended from outside still ends its gateway, undisturbed by
    the signal's second coming: timeout sends it twice."""

    def interrupt(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


@pytest.fixture(scope="session")
def kafka():
    """host:port of a real Kafka."""
    return os.environ["SLUICE_TEST_KAFKA"]


@pytest.fixture(scope="session")
def gateway(kafka):
    """The gateway, under a topic prefix that nobody else has."""
    prefix = f"interop-{secrets.token_hex(6)}."
    try:
        gateway = Gateway(os.environ["INTEROP_GATEWAY"], kafka, prefix, os.environ["INTEROP_LOG"])
        try:
            yield gateway
        finally:
            status = gateway.stop()
    finally:
        delete_topics(kafka, prefix)
    assert status == 0, f"the gateway ended with status {status} (66: a data race); see its log"


@pytest.fixture
def stream():
    """The id of a stream that no other test has."""
    return f"s-{secrets.token_hex(6)}"


@pytest.fixture
def schema_name():
    """The name of a schema that no other test has."""
    return f"Schema{secrets.token_hex(6)}"


def delete_topics(kafka, prefix):
    """kafka-python is in both environments, as release 2 in one of them."""
    from kafka import KafkaAdminClient

    admin = KafkaAdminClient(bootstrap_servers=kafka)
    try:
        admin.delete_topics([topic for topic in admin.list_topics() if topic.startswith(prefix)])
    finally:
        admin.close()
