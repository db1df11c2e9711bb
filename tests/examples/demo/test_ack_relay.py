"""The relay that makes Tansu treat producers as Apache Kafka does."""

from __future__ import annotations

import logging
import struct

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from examples.demo.ack_relay import unanswered
from examples.demo.tansu import broker


async def read(address: str, topic: str, count: int) -> set[bytes | None]:
    """Return the values of the topic's first messages."""
    async with AIOKafkaConsumer(topic, bootstrap_servers=address, auto_offset_reset="earliest") as consumer:
        return {(await consumer.getone()).value for _ in range(count)}


@pytest.mark.parametrize("acks", [0, 1, "all"])
async def test_delivers(acks: int | str, caplog: pytest.LogCaptureFixture) -> None:
    """Everything arrives whatever acknowledgement is asked for, and the connection stands it."""
    sent = {b"%d" % number for number in range(500)}
    async with broker() as address:
        async with AIOKafkaProducer(bootstrap_servers=address, acks=acks) as producer:
            for value in sent:
                await producer.send("events", value)
                await producer.flush()
        assert await read(address, "events", len(sent)) == sent

    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def produce(version: int, acks: int, *, client: bytes | None = b"me", transaction: bytes | None = None) -> bytes:
    """Return the beginning of a Produce request with correlation id 77, written out from Kafka's protocol guide."""
    request = struct.pack(">hhi", 0, version, 77)
    request += struct.pack(">h", -1) if client is None else struct.pack(">h", len(client)) + client
    if version >= 9:
        request += b"\x01\x05\x02ab"  # one tag, numbered 5, of two bytes
        request += b"\x00" if transaction is None else bytes([len(transaction) + 1]) + transaction
    elif version >= 3:
        request += struct.pack(">h", -1) if transaction is None else struct.pack(">h", len(transaction)) + transaction
    return request + struct.pack(">hi", acks, 1500)


@pytest.mark.parametrize("version", [0, 2, 3, 8, 9, 11])
@pytest.mark.parametrize("client", [None, b"", b"logpipe"])
@pytest.mark.parametrize("transaction", [None, b"mine"])
def test_recognises_requests_without_answer(version: int, client: bytes | None, transaction: bytes | None) -> None:
    """Only a Produce request with acks 0 has none, in every version's form."""
    assert unanswered(produce(version, 0, client=client, transaction=transaction)) == 77
    assert unanswered(produce(version, 1, client=client, transaction=transaction)) is None
    assert unanswered(produce(version, -1, client=client, transaction=transaction)) is None


def test_long_transaction_name() -> None:
    """A length of more than one byte is read whole."""
    request = produce(8, 0, transaction=b"x" * 300)
    flexible = struct.pack(">hhi", 0, 9, 77) + struct.pack(">h", -1) + b"\x00" + b"\xad\x02" + b"x" * 300
    assert unanswered(request) == 77
    assert unanswered(flexible + struct.pack(">h", 0)) == 77
    assert unanswered(flexible + struct.pack(">h", 1)) is None


def test_other_requests_are_answered() -> None:
    """A request of another kind is answered, whatever its body."""
    assert unanswered(struct.pack(">hhi", 3, 9, 77) + bytes(64)) is None
