"""What the inputs of a consumer group have in common: partitions come and go."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from logpipe import InputHost
from logpipe_kafka.cluster_options import ConnectionOptions
from logpipe_kafka.consumer.events import Events
from logpipe_kafka.consumer.options import GroupOptions
from logpipe_kafka.consumer.partition import Limits
from logpipe_kafka.consumer.reader import COMMIT_SECONDS, PartitionsInput, close

FOR_EVER: Final = 2**31 - 1
"""Milliseconds: a process whose outputs take nothing keeps its partitions, since others would not fare better."""

G = TypeVar("G", bound=GroupOptions)


class GroupInput(PartitionsInput[G]):
    """Reads the partitions that a consumer group gives to this process.

    Args:
        options: of the input.
        host: of the input.
        consumer: further arguments of the consumer: the group and how it is read.
        connection: how brokers are reached, where the options themselves do not say it.
        stretches: most answers of the brokers for which something is owed.
        messages: most messages that are read at a time.
        commit_seconds: how often offsets are committed.
        commit_after: messages after which they are committed at once, 0 for never.
    """

    several_workers = True

    def __init__(
        self,
        options: G,
        host: InputHost,
        *,
        consumer: Mapping[str, Any],
        connection: ConnectionOptions | None = None,
        stretches: int | None = None,
        messages: int | None = None,
        commit_seconds: float | None = None,
        commit_after: int = 0,
    ) -> None:
        limits = Limits(attempts=options.retry_emit_limit)
        super().__init__(
            options,
            host,
            events=Events(options, host, add_headers=options.add_headers),
            connection=connection,
            limits=limits._replace(stretches=stretches or limits.stretches, messages=messages or limits.messages),
            commit_seconds=commit_seconds or COMMIT_SECONDS,
            commit_after=commit_after,
            longest_pause=float(options.retry_wait_seconds),
        )
        self._arguments = dict(consumer)

    async def open(self, arguments: Mapping[str, Any]) -> AIOKafkaConsumer:
        """Return a consumer that joins the group.

        Raises:
            KafkaError: no broker answers, or they refuse.
        """
        consumer = AIOKafkaConsumer(max_poll_interval_ms=FOR_EVER, **arguments, **self._arguments)
        try:
            await consumer.start()
            # only now, lest a topic that does not exist keep the others waiting
            consumer.subscribe(listener=_Listener(self, consumer), **self.options.subscription)
        except BaseException:
            await close(consumer)
            raise
        return consumer

    async def save(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit offsets.

        Raises:
            KafkaError: the group refuses them, or nobody answers.
        """
        assert self._consumer is not None  # noqa: S101 - partitions come from it
        await self._consumer.commit(dict(offsets))


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Is told which partitions come and go; the group waits meanwhile."""

    def __init__(self, reader: GroupInput[Any], consumer: AIOKafkaConsumer) -> None:
        self._reader = reader
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Let go of them; the next owner begins where the last commit says."""
        await self._reader.leave(revoked)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Begin to read."""
        names = ", ".join(f"{each.topic}/{each.partition}" for each in sorted(assigned))
        self._reader.host.log.info("reading the partitions %s", names or "of nobody: there are too few for all members")
        for each in assigned:
            self._reader.begin(self._consumer, each)
