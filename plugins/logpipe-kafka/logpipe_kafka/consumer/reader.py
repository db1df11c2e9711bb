"""An input that reads partitions: keeps a consumer alive, and saves offsets of what is past a kill -9."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from logpipe import Input, InputHost
from logpipe_kafka.cluster import security
from logpipe_kafka.cluster.brokers import REMIND_SECONDS, FixedBrokers
from logpipe_kafka.cluster.diagnosis import diagnose
from logpipe_kafka.cluster.producer import ClientLog
from logpipe_kafka.cluster.verdict import reason
from logpipe_kafka.cluster_options import ConnectionOptions
from logpipe_kafka.consumer.events import Events
from logpipe_kafka.consumer.options import ConsumerOptions
from logpipe_kafka.consumer.partition import Limits, NotTakenError, PartitionReader

FIRST_PAUSE: Final = 0.5
OPEN_SECONDS: Final = 60.0
SAVE_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 3.0
LEAVE_SECONDS: Final = 1.0
"""Seconds in which what is owed for a partition may still settle before another process reads it."""
COMMIT_SECONDS: Final = 1.0
"""Seconds between two commits, where no setting says it."""

O = TypeVar("O", bound=ConsumerOptions)  # noqa: E741 - the one letter that reads as "options"


class PartitionsInput(Input[O]):
    """Override `open`, `save`, and `place` where a partition's beginning is not the consumer's to find.

    Args:
        options: of the input.
        host: of the input.
        events: makes events of messages.
        connection: how brokers are reached, where the options themselves do not say it.
        addresses: the brokers, where it does not say them.
        limits: how much of each partition may be on its way.
        commit_seconds: how often offsets are saved.
        commit_after: messages after which they are saved at once, 0 for never.
        longest_pause: seconds before the brokers are tried again.
    """

    compat: ClassVar = frozenset({"parser"})
    compat_kept: ClassVar = frozenset({"time_format", "message_key"})

    def __init__(
        self,
        options: O,
        host: InputHost,
        *,
        events: Events,
        connection: ConnectionOptions | None = None,
        addresses: Sequence[str] | None = None,
        limits: Limits | None = None,
        commit_seconds: float = COMMIT_SECONDS,
        commit_after: int = 0,
        longest_pause: float = 30.0,
    ) -> None:
        super().__init__(options, host)
        self.connection: ConnectionOptions = connection or options
        self.readers: dict[TopicPartition, PartitionReader] = {}
        self._events = events
        self._limits = limits or Limits()
        self._commit_seconds = commit_seconds
        self._commit_after = commit_after
        self._longest_pause = longest_pause
        self._brokers = FixedBrokers(addresses or self.connection.brokers, host)
        self._client_log = ClientLog(host, forward=self.connection.get_kafka_client_log)
        self._security: dict[str, Any] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._tasks: dict[TopicPartition, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._quiet = asyncio.Event()
        self._saving = asyncio.Lock()
        self._is_due = asyncio.Event()
        self._unsaved = 0
        self._complaint = ""
        self._quiet_until = 0.0
        self._restarts = host.counter("retry_count", "Sessions with the brokers that failed.")
        host.gauge("partitions", lambda: len(self.readers))
        host.gauge("owed_bytes", lambda: sum(each.progress.size for each in self.readers.values()))

    async def open(self, arguments: Mapping[str, Any]) -> AIOKafkaConsumer:
        """Return a consumer that has been started.

        It calls `begin` for each partition, now or later. Where it raises, nothing is left of it.

        Args:
            arguments: the consumer's, about brokers and security.

        Raises:
            KafkaError: no broker answers, or they refuse.
        """
        raise NotImplementedError

    async def save(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Save offsets.

        Raises:
            KafkaError: they cannot be saved now.
        """
        raise NotImplementedError

    async def place(self, partition: TopicPartition) -> None:
        """Have the consumer begin a partition where it is to begin.

        Raises:
            KafkaError: nobody says where that is.
        """

    async def start(self) -> None:
        """Read the files for TLS.

        Raises:
            InvalidSetting: one cannot be used.
        """
        self._security = security.arguments(self.connection)
        self._client_log.attach()
        self.host.start_task(self._save_regularly(), name="commit")

    async def run(self) -> None:
        """Read until cancelled; a session that fails is followed by another one."""
        pause = FIRST_PAUSE
        while True:
            addresses = await self._brokers.addresses()
            if self._quiet.is_set():
                await asyncio.Future()  # what is owed may still settle, and be saved by `stop`
            began = asyncio.get_running_loop().time()
            try:
                await self._session(addresses)
            except (KafkaError, OSError, NotTakenError) as error:
                said = self._client_log.pop_last() if not isinstance(error, NotTakenError) else ""
                said = said or reason(error)
                if asyncio.get_running_loop().time() - began > self._longest_pause:
                    pause = FIRST_PAUSE
                if cause := await self._cause(addresses, error):
                    said = f"{said.rstrip(': ')}: {cause}"
                self._restarts.add(1)
                self.host.log.warning("can't read from Kafka, trying again in %g seconds: %s", pause, said)
            with suppress(TimeoutError):
                async with self.host.clock.timeout(pause):
                    await self._quiet.wait()
            pause = min(self._longest_pause, pause * 2)

    async def quiesce(self) -> None:
        """Fetch nothing new; what is read is emitted, and its offsets are committed."""
        self._quiet.set()

    async def stop(self) -> None:
        """Save what is settled, and leave."""
        await self._end()
        self._client_log.detach()

    def begin(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> None:
        """Begin to read a partition; nothing where the session has ended meanwhile."""
        if self._group is None:
            return
        reader = PartitionReader(
            partition,
            consumer,
            events=self._events,
            host=self.host,
            limits=self._limits,
            quiet=self._quiet,
            settled=self._settled,
        )
        self.readers[partition] = reader
        name = f"{partition.topic}/{partition.partition}"
        self._tasks[partition] = self._group.create_task(reader.run(self.place), name=name)

    async def leave(self, partitions: Iterable[TopicPartition]) -> None:
        """Let go of partitions: what settles within a moment is saved, the rest is read again by whoever has them."""
        left = [self.readers[each] for each in partitions if each in self.readers]
        for reader in left:
            reader.leave()
        if left:
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_SECONDS):
                    await asyncio.gather(*(reader.rest() for reader in left))
            await self._cancel([reader.partition for reader in left])
            await self._save()
            for reader in left:
                self.readers.pop(reader.partition, None)

    async def _session(self, addresses: Iterable[str]) -> None:
        """Read until something fails."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                async with asyncio.timeout(OPEN_SECONDS):
                    self._consumer = await self.open(
                        {
                            "bootstrap_servers": list(addresses),
                            "client_id": self.connection.client_id,
                            "enable_auto_commit": False,
                            **self._security,
                        }
                    )
                self._client_log.pop_last()
                try:
                    await asyncio.Future()
                finally:
                    self._group = None
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        finally:
            if not self._quiet.is_set():
                await self._end()

    async def _end(self) -> None:
        """Save, close the consumer, and forget its partitions."""
        consumer = self._consumer
        await self._cancel([*self._tasks])
        if consumer is not None:
            await self._save()
            self._consumer = None
            await close(consumer)
        self.readers.clear()

    async def _cancel(self, partitions: Iterable[TopicPartition]) -> None:
        tasks = [self._tasks.pop(each) for each in partitions if each in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _settled(self, count: int) -> None:
        self._unsaved += count
        if self._commit_after and self._unsaved >= self._commit_after:
            self._is_due.set()

    async def _save_regularly(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with self.host.clock.timeout(self._commit_seconds):
                    await self._is_due.wait()
            self._is_due.clear()
            if self._consumer is not None:
                await self._save()
                self._tell_trouble()

    def _tell_trouble(self) -> None:
        """Log what the consumer has said of brokers that it tries again by itself, once a minute."""
        if (said := self._client_log.pop_last()) and self.host.clock.monotonic() >= self._quiet_until:
            self._quiet_until = self.host.clock.monotonic() + REMIND_SECONDS
            self.host.log.warning("reading from Kafka is tried again: %s", said)

    async def _save(self) -> None:
        """Save what has moved; what cannot be saved now is saved later, or read again."""
        async with self._saving:
            self._unsaved = 0
            moved = {
                reader: offset
                for reader in self.readers.values()
                if (offset := reader.progress.offset) is not None and offset != reader.progress.committed
            }
            if not moved:
                return
            try:
                async with asyncio.timeout(SAVE_SECONDS):
                    await self.save({reader.partition: offset for reader, offset in moved.items()})
            except (KafkaError, OSError) as error:
                if reason(error) != self._complaint:
                    self._complaint = reason(error)
                    self.host.log.warning("offsets cannot be committed, trying again: %s", self._complaint)
                return
            self._complaint = ""
            for reader, offset in moved.items():
                reader.progress.committed = offset

    async def _cause(self, addresses: Iterable[str], error: Exception) -> str:
        """Return the TLS problem of the first broker, "" without one."""
        first = next(iter(addresses), "")
        if isinstance(error, NotTakenError) or not first:
            return ""
        has_certificate = bool(self.connection.ssl_client_cert)
        return await diagnose(first, self._security.get("ssl_context"), has_certificate=has_certificate)


async def close(consumer: AIOKafkaConsumer) -> None:
    """Close a consumer within seconds, whatever the brokers do."""
    async with asyncio.TaskGroup() as group:
        stopping = group.create_task(_stopped(consumer))
        done, _ = await asyncio.wait([stopping], timeout=CLOSE_SECONDS)
        if not done:
            # without connections its requests fail, and it comes to its end
            await consumer._client.close()  # noqa: SLF001 - it has no other way
            done, _ = await asyncio.wait([stopping], timeout=CLOSE_SECONDS)
        if not done:
            stopping.cancel()


async def _stopped(consumer: AIOKafkaConsumer) -> None:
    with suppress(KafkaError, OSError):
        await consumer.stop()
