"""Reads one partition: fetches, emits, and waits while too much of it is owed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from logpipe import InputHost, LogpipeError
from logpipe_kafka.cluster.verdict import reason
from logpipe_kafka.consumer.events import Events
from logpipe_kafka.consumer.progress import Progress

POLL_MILLISECONDS: Final = 1000
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 10.0
"""Seconds between two attempts to emit."""
COUNTED_PAUSE: Final = 1.0
"""The same where `retry_emit_limit` counts the attempts, as in fluentd."""


class NotTakenError(LogpipeError):
    """No output has taken events within `retry_emit_limit`."""


class Limits(NamedTuple):
    """How much of a partition may be on its way."""

    messages: int = 4000
    """Most messages that are read at a time."""
    stretches: int = 100
    """Most of these for which a receipt is owed."""
    size: int = 64 * 1024 * 1024
    """Bytes of messages that are owed, above which no more are read."""
    attempts: int | None = None
    """How often events are offered before they are read again; None: for ever."""


class PartitionReader:
    """Reads one partition for as long as this process has it.

    Args:
        partition: which.
        consumer: that it is assigned to.
        events: makes events of its messages.
        host: of the input.
        limits: how much may be on its way.
        quiet: set when nothing new is to be read.
        settled: called with how many messages are past a kill -9 when the offset to commit has moved.
    """

    def __init__(
        self,
        partition: TopicPartition,
        consumer: AIOKafkaConsumer,
        *,
        events: Events,
        host: InputHost,
        limits: Limits,
        quiet: asyncio.Event,
        settled: Callable[[int], None],
    ) -> None:
        self.partition = partition
        self.progress = Progress(self._settled)
        self._consumer = consumer
        self._events = events
        self._host = host
        self._limits = limits
        self._quiet = quiet
        self._tell = settled
        self._has_moved = asyncio.Event()
        self._leaves = False

    async def run(self, place: Callable[[TopicPartition], Awaitable[None]]) -> None:
        """Read until the input is quiet, or the partition is left.

        Args:
            place: finds where to begin.

        Raises:
            KafkaError: the consumer has failed.
            NotTakenError: no output takes the events.
        """
        await self._place(place)
        while True:
            await self._room()
            found = await self._consumer.getmany(
                self.partition, timeout_ms=POLL_MILLISECONDS, max_records=self._limits.messages
            )
            for messages in found.values():
                if self._is_quiet or not await self._emit(messages):
                    return
            if self._is_quiet:
                return

    def leave(self) -> None:
        """Read nothing new."""
        self._leaves = True
        self._has_moved.set()

    async def rest(self) -> None:
        """Wait until nothing is owed."""
        while len(self.progress):
            self._has_moved.clear()
            await self._has_moved.wait()

    @property
    def _is_quiet(self) -> bool:
        return self._leaves or self._quiet.is_set()

    async def _room(self) -> None:
        """Wait while too much is owed. The consumer holds what one fetch has brought, and fetches no more."""
        limits = self._limits
        while (len(self.progress) >= limits.stretches or self.progress.size >= limits.size) and not self._leaves:
            self._has_moved.clear()
            await self._has_moved.wait()

    async def _place(self, place: Callable[[TopicPartition], Awaitable[None]]) -> None:
        """Find where to begin; a partition that is not there does not end the session of the others."""
        pause = FIRST_PAUSE
        while True:
            try:
                await place(self.partition)
            except KafkaError as error:
                topic, number = self.partition
                self._host.log.warning(
                    "can't read %s/%d, trying again in %g seconds: %s", topic, number, pause, reason(error)
                )
            else:
                return
            await self._pause(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with self._host.clock.timeout(seconds):
                await self._quiet.wait()

    def _settled(self, count: int) -> None:
        self._has_moved.set()
        self._tell(count)

    async def _emit(self, messages: Sequence[ConsumerRecord]) -> bool:
        """Emit the events of messages until they are taken; returns whether they were.

        What was not taken stays owed, so that it is read again.
        """
        size = sum(len(message.value or b"") for message in messages)
        receipt = self.progress.receipt(messages[-1].offset + 1, len(messages), size)
        batches = self._events.batches(messages, receipt)
        number = attempts = 0
        pause = FIRST_PAUSE if self._limits.attempts is None else COUNTED_PAUSE
        while number < len(batches):
            try:
                await self._host.emit(batches[number])
            except Exception as error:
                if self._is_quiet:
                    return False
                attempts += 1
                if self._limits.attempts is not None and attempts > self._limits.attempts:
                    # compat: the message of in_kafka_group.rb
                    raise NotTakenError("Exceeds retry_emit_limit") from error
                self._host.log.warning(
                    "events of %s/%d were not taken, trying again in %g seconds: %r",
                    self.partition.topic,
                    self.partition.partition,
                    pause,
                    error,
                )
                await self._pause(pause)
                if self._limits.attempts is None:
                    pause = min(2 * pause, LONGEST_PAUSE)
                batches = self._events.batches(messages, receipt, is_first=False)
            else:
                number += 1
                attempts = 0
        receipt.release()
        return True
