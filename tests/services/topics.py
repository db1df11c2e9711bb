"""Topics of any Kafka-compatible broker: made, counted and read whole, through aiokafka."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import TopicAlreadyExistsError, for_code

READ_SECONDS = 60


class Message(NamedTuple):
    """What a topic holds at one offset."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    """Milliseconds since the epoch."""


def brokers(bootstrap: str) -> int:
    """Return how many brokers the cluster says it has.

    Raises:
        aiokafka.errors.KafkaError: nobody answers.
    """
    return len(asyncio.run(_cluster(bootstrap)).brokers())


def create_topic(bootstrap: str, name: str, *, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
    """Make a topic; one that is there already is left as it is."""
    asyncio.run(_create_topic(bootstrap, NewTopic(name, partitions, 1, topic_configs=dict(config or {}))))


def delete_topic(bootstrap: str, name: str) -> None:
    """Remove a topic and what it holds."""
    asyncio.run(_delete_topic(bootstrap, name))


def topic_names(bootstrap: str) -> set[str]:
    """Return the names of the topics that can be written to now, Kafka's own included."""
    cluster = asyncio.run(_cluster(bootstrap))
    return {name for name in cluster.topics() if _led(cluster, name)}


def topic_size(bootstrap: str, name: str) -> int:
    """Return how many messages the topic holds now, 0 for one that does not exist."""
    return asyncio.run(_topic_size(bootstrap, name))


def read_topic(bootstrap: str, name: str) -> list[Message]:
    """Return every message from the beginning to where the partitions end.

    Raises:
        TimeoutError: the broker did not hand them out within a minute.
    """
    return asyncio.run(_read_topic(bootstrap, name))


async def _cluster(bootstrap: str) -> ClusterMetadata:
    """Ask for everything at once: to ask for one topic by its name would make it."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    try:
        await client.bootstrap()
        return await client.fetch_all_metadata()
    finally:
        await client.close()


async def _create_topic(bootstrap: str, topic: NewTopic) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = await admin.create_topics([topic])
        for _, code, *_ in answer.topic_errors:
            if (error := for_code(code)) not in (None, TopicAlreadyExistsError) and code:
                raise error(f"topic {topic.name}")
    finally:
        await admin.close()


async def _delete_topic(bootstrap: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([name])
    finally:
        await admin.close()


async def _topic_size(bootstrap: str, name: str) -> int:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        partitions = await _partitions(bootstrap, name)
        first = await consumer.beginning_offsets(partitions)
        last = await consumer.end_offsets(partitions)
        size: int = sum(last.values()) - sum(first.values())
        return size


async def _read_topic(bootstrap: str, name: str) -> list[Message]:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        partitions = await _partitions(bootstrap, name)
        if not partitions:
            return []
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        messages: list[Message] = []
        async with asyncio.timeout(READ_SECONDS):
            while not all([await _read_whole(consumer, partition, end) for partition, end in ends.items()]):
                for fetched in (await consumer.getmany(timeout_ms=100)).values():
                    messages += [Message(m.partition, m.offset, m.key, m.value, m.timestamp) for m in fetched]
        return messages


async def _read_whole(consumer: AIOKafkaConsumer, partition: TopicPartition, end: int) -> bool:
    """Whether the end was reached, and that which fetches tell too: asked for it, Tansu says the last batch's start."""
    position: int = await consumer.position(partition)
    return position >= max(end, consumer.highwater(partition) or 0)


def _led(cluster: ClusterMetadata, name: str) -> bool:
    """Whether every partition has a leader, which takes a moment after a topic was made or a broker came back."""
    led: set[int] | None = cluster.available_partitions_for_topic(name)
    every: set[int] | None = cluster.partitions_for_topic(name)
    return led == every


async def _partitions(bootstrap: str, name: str) -> list[TopicPartition]:
    cluster = await _cluster(bootstrap)
    return [TopicPartition(name, number) for number in sorted(cluster.partitions_for_topic(name) or ())]
