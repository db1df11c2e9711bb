"""`@type kafka`: sends messages to Kafka without a buffer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from logpipe import EventBatch, Host, Output, OutputHost, RetryLater, param
from logpipe.discovery import Peer
from logpipe_kafka.cluster_options import NOT_USED
from logpipe_kafka.delivery.topics import Delivery
from logpipe_kafka.flat_messages import find_brokers, flat_messages
from logpipe_kafka.messages.batch import Batch
from logpipe_kafka.messages.messages import Messages
from logpipe_kafka.messages.options import FlatOptions
from logpipe_kafka.messages.topic_guard import guarded

LINGER_SECONDS: Final = 0.02
"""Seconds that a batch that is not full waits for more events."""
FULL_SECONDS: Final = 1.0
"""Seconds until an input may retry events for a failing topic."""


class KafkaOptions(FlatOptions):
    """Settings of `@type kafka`."""

    max_buffer_size: int | None = param(
        "Accepted for compatibility; pending messages are limited by bytes.", default=None, deprecated=NOT_USED
    )
    max_buffer_bytesize: int | None = param(
        "Accepted for compatibility; about 4 MiB are pending at most.", default=None, deprecated=NOT_USED
    )


class KafkaOutput(Output[KafkaOptions], type="kafka"):
    """Sends each event to its topic, and settles the input's receipts when a broker has confirmed.

    It accepts some MiB and then makes the input wait, also while no broker answers; no event is lost or dropped then.
    When the share of a topic that fails by itself is used up, its events are refused, so that the input reads them
    again later.
    """

    def __init__(self, options: KafkaOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        self._delivery = Delivery(options, find_brokers(options, host), host)
        self._packer = self._delivery.packer(_Owner())
        self._messages = Messages(
            flat_messages(options, host), guarded(options, host, self._delivery.queue), host.clock
        )
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Begin to connect; does not wait for the brokers."""
        await self._delivery.start()

    async def peers(self) -> list[Peer]:
        """Return the brokers."""
        return await self._delivery.peers()

    async def process(self, batch: EventBatch) -> None:
        """Accept a batch, once the budget allows.

        Raises:
            RetryLater: a topic of the batch fails by itself, and its share of the budget is used up.
        """
        if not batch.times:
            return
        self._messages.prepare(batch)
        topics = self._messages.topics(batch)
        budget = self._delivery.budget
        if budget.failing:
            self._check(topics or set())
        await budget.room()
        self._messages.pack(batch, _Source(batch, self.host), self._packer, topics=topics)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._linger_over)

    async def flush(self) -> None:
        """Wait until everything is confirmed."""
        self._packer.seal()
        await self._delivery.budget.empty()

    async def stop(self) -> None:
        """Close the connection; unconfirmed events are not settled, so that inputs read them again."""
        if self._timer is not None:
            self._timer.cancel()
        await self._delivery.stop()

    def _linger_over(self) -> None:
        self._timer = None
        if self._packer.seal_next():
            self._timer = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._linger_over)

    def _check(self, topics: set[str]) -> None:
        for topic in topics:
            if (why := self._delivery.full(topic)) is not None:
                raise RetryLater(f"topic {topic} takes no messages now: {why}", after=FULL_SECONDS)


class _Source:
    """The events of one call of `process`; the batch's receipt is held while any of them is unconfirmed."""

    __slots__ = ("_batch", "_host")

    def __init__(self, batch: EventBatch, host: Host) -> None:
        self._batch = batch
        self._host = host

    def hold(self) -> None:
        """Hold the receipt."""
        if self._batch.receipt is not None:
            self._batch.receipt.hold()

    def settle(self, numbers: Sequence[int]) -> None:
        """Release the receipt."""
        del numbers
        if self._batch.receipt is not None:
            self._batch.receipt.release()

    def refuse(self, number: int, error: Exception) -> None:
        """Pass an event to `@ERROR`, which holds the receipt from now on."""
        batch = self._batch
        self._host.emit_error(batch.tag, batch.times[number], batch.record(number), error, receipt=batch.receipt)


class _Owner:
    """Owns the batches of an output without a buffer; they are retried without limit, since there is no other copy."""

    def troubled(self) -> None:
        """Do nothing: the batch is sent again until it is confirmed."""

    def refused(self, batch: Batch, error: Exception) -> None:
        """Pass the events to `@ERROR`."""
        batch.refuse(error)
