"""One aiokafka producer, from its first connection to a broker until it is closed.

aiokafka's `flush` and `stop` wait while no broker answers, its sender requests metadata without a pause while a
partition has no leader, and a batch may hang for ever (aiokafka#1018, #1101). So callers keep a batch until it is
confirmed, and a stuck producer is dropped, not stopped. This is the only module that uses aiokafka's internals.
"""
# ruff: noqa: SLF001 - the docstring says why; pyproject.toml keeps aiokafka below the next minor version

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from logpipe_kafka.cluster.verdict import SessionEnded
from logpipe_kafka.cluster_options import ClusterOptions
from logpipe_kafka.messages.batch import Batch

REQUEST_SECONDS: Final = 30.0
"""Seconds for a connection and for a response."""
OPEN_SECONDS: Final = 60.0
LOOK_UP_SECONDS: Final = 10.0
HAND_OVER_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 5.0
RETIRE_SECONDS: Final = 2.0
RETRY_SECONDS: Final = 2.0
"""Seconds that aiokafka itself retries a batch; `delivery` does so with pauses."""
IDEMPOTENT_RETRY_SECONDS: Final = 60.0
"""The same for an idempotent producer: brokers detect duplicates only of the same producer."""
METADATA_SECONDS: Final = 0.05
"""Seconds between two requests for metadata: aiokafka makes no pause while a partition has no leader."""


class Session:
    """A connected producer, made by `open`. Every await here has a deadline, except for the confirmation itself."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._client = producer.client
        self._unconfirmed: dict[asyncio.Future[Any], float] = {}
        self._requests: set[asyncio.Task[Any]] = set()
        self._ended = False
        self._idempotent = False
        self._has_gap = False
        sender = producer._sender
        sender._send_produce_req = self._tracked(sender._send_produce_req)
        self._client._metadata_update = _paced(self._client._metadata_update)

    @classmethod
    async def open(cls, addresses: Sequence[str], options: ClusterOptions, security: Mapping[str, Any]) -> Self:
        """Return a session with the first of the brokers that answers.

        `security` are aiokafka's arguments about TLS and SASL.

        Raises:
            KafkaError: none does.
            TimeoutError: none does in time.
        """
        producer = AIOKafkaProducer(
            bootstrap_servers=list(addresses),
            client_id=options.client_id,
            acks=options.required_acks,
            enable_idempotence=options.idempotent,
            request_timeout_ms=round(REQUEST_SECONDS * 1000),
            **security,
        )
        producer._message_accumulator._batch_ttl = IDEMPOTENT_RETRY_SECONDS if options.idempotent else RETRY_SECONDS
        producer._sender._request_timeout_ms = round(options.ack_seconds * 1000)
        session = cls(producer)
        session._idempotent = options.idempotent
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await producer.start()
        except BaseException:
            await session.close()
            raise
        return session

    @property
    def addresses(self) -> set[str]:
        """Every broker of the cluster, HOST:PORT."""
        return {f"{broker.host}:{broker.port}" for broker in self._client.cluster.brokers()}

    @property
    def waiting_since(self) -> float | None:
        """When the oldest unconfirmed batch was sent, by the loop's clock; None without one."""
        return min(self._unconfirmed.values(), default=None)

    @property
    def must_end(self) -> bool:
        """Whether it has failed: aiokafka's sender has ended, or an idempotent batch failed and left a gap."""
        task = self._producer._sender.sender_task
        return self._has_gap or task is None or task.done()

    def partitions(self, topic: str) -> tuple[int, ...]:
        """Return a topic's partitions, none while they are unknown."""
        return tuple(sorted(self._client.cluster.partitions_for_topic(topic) or ()))

    def is_refused(self, topic: str) -> bool:
        """Return whether the brokers refuse a topic's metadata."""
        return topic in self._client.cluster.unauthorized_topics

    def has_leader(self, topic: str, partition: int) -> bool:
        """Return whether a partition has a broker to write to."""
        leader = self._client.cluster.leader_for_partition(TopicPartition(topic, partition))
        return leader is not None and leader != -1

    async def look_up(self, topic: str) -> bool:
        """Request the metadata of a topic and all others; returns whether a broker has answered."""
        self._client.add_topic(topic)
        return await self.answers()

    async def answers(self) -> bool:
        """Request all topics' metadata; returns whether a broker has answered. Concurrent calls share a request."""
        if self._ended:
            return False
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                return bool(await self._client.force_metadata_update())
        except TimeoutError:
            return False

    def limit_topics(self, topics: Collection[str]) -> None:
        """Request metadata of these topics only from now on."""
        self._client.set_topics(topics)

    async def send(self, batch: Batch, topic: str, partition: int) -> None:
        """Send a batch and return when it is confirmed, or written to the socket with `required_acks 0`.

        No other batch may be in flight to that partition: aiokafka would report one batch's error to the next.

        Raises:
            KafkaError: it was refused, or could not be sent.
            TimeoutError: aiokafka did not accept it in time.
            AssertionError: there is no such partition.
            SessionEnded: the session was closed.
        """
        if self._ended:
            raise SessionEnded("the producer was closed")
        async with asyncio.timeout(HAND_OVER_SECONDS):
            confirmed = await self._producer.send_batch(batch, topic, partition=partition)
        self._unconfirmed[confirmed] = asyncio.get_running_loop().time()
        try:
            await confirmed
        except BaseException:
            # The batch has used up its sequence numbers, and brokers would refuse the next ones.
            self._has_gap = self._idempotent
            raise
        finally:
            self._unconfirmed.pop(confirmed, None)

    async def retire(self) -> None:
        """Wait some seconds for the confirmation of batches in flight, then close."""
        if self._unconfirmed and not self._producer._sender.sender_task.done():
            await asyncio.wait(self._unconfirmed, timeout=RETIRE_SECONDS)
        await self.close()

    async def close(self) -> None:
        """Close the producer within some seconds without flushing, even if no broker answers.

        For unconfirmed batches `send` raises SessionEnded; the caller sends them again.
        """
        if self._ended:
            return
        self._ended = True
        for confirmed in self._unconfirmed:
            if not confirmed.done():
                confirmed.set_exception(SessionEnded("the producer was closed before the batch was confirmed"))
        # Its destructor would warn about a producer without stop(), the only other way to mark it closed.
        self._producer._closed = True
        for connection in self._client._conns.values():
            if connection._writer is not None:
                connection._writer.transport.abort()
        tasks = set(self._requests)
        if (sender_task := self._producer._sender.sender_task) is not None:
            tasks.add(sender_task)
        for task in tasks:
            task.cancel()
        with contextlib.suppress(TimeoutError, KafkaError, OSError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.gather(*tasks, return_exceptions=True)
                await self._client.close()
        asked = self._client._md_update_fut
        if asked is not None and not asked.done():
            asked.set_result(False)

    def _tracked(self, send: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Wrap aiokafka's sending of one request, so that its task can be found when it must end."""

        async def send_tracked(node_id: int, batches: Any) -> None:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101 - a coroutine that runs has a task
            self._requests.add(task)
            try:
                await send(node_id, batches)
            finally:
                self._requests.discard(task)

        return send_tracked


def _paced(ask: Callable[..., Awaitable[bool]]) -> Callable[..., Awaitable[bool]]:
    """Wrap aiokafka's metadata request with a pause after the last one."""
    loop = asyncio.get_running_loop()
    last = loop.time() - METADATA_SECONDS

    async def ask_paced(*about: Any) -> bool:
        nonlocal last
        await asyncio.sleep(last + METADATA_SECONDS - loop.time())
        last = loop.time()
        return await ask(*about)

    return ask_paced
