"""Writes to topics, and reads what groups have committed, in the loop of a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition


async def produce(bootstrap: str, topic: str, *values: bytes | None, partition: int = 0, **message: Any) -> None:
    """Write messages to a partition; `message` is what else each has: `key`, `headers`, `timestamp_ms`."""
    if None in values:
        message = {"key": b"k", **message}  # a message must have one of both
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        sent = [await producer.send(topic, value, partition=partition, **message) for value in values]
        for each in sent:
            await each


async def committed(bootstrap: str, group: str, topic: str, partitions: Sequence[int] = (0,)) -> list[int | None]:
    """Return the offset that a group has committed for each partition."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False) as consumer:
        return [await consumer.committed(TopicPartition(topic, each)) for each in partitions]


def numbers(records: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the field `n` of records, in order."""
    return sorted(record["n"] for record in records)
