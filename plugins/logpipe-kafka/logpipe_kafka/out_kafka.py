"""`@type kafka`: messages to Kafka without a buffer."""

from __future__ import annotations

import asyncio
from typing import Final

from logpipe import EventBatch, Output, OutputHost, RetryLater, param
from logpipe_kafka.cluster_options import NOT_USED
from logpipe_kafka.delivery.connection import Connection
from logpipe_kafka.delivery.direct import DirectOwner, DirectSource
from logpipe_kafka.flat_messages import FieldNames, find_brokers, message_settings
from logpipe_kafka.messages.messages import Messages
from logpipe_kafka.messages.options import FlatOptions
from logpipe_kafka.messages.topic_guard import guarded

LINGER_SECONDS: Final = 0.02
"""How long a batch that is not full waits for more."""
FULL_SECONDS: Final = 1.0
"""When an input may try again for a topic that fails."""


class KafkaOptions(FlatOptions):
    """Settings of `@type kafka`."""

    max_buffer_size: int | None = param(
        "Accepted for fluentd's sake; what is on its way is bounded by bytes.", default=None, deprecated=NOT_USED
    )
    max_buffer_bytesize: int | None = param(
        "Accepted for fluentd's sake; about 4 MiB are on their way at most.", default=None, deprecated=NOT_USED
    )


class KafkaOutput(Output[KafkaOptions], type="kafka"):
    """Sends each event to its topic, and settles the input's receipts when a broker has confirmed.

    It takes what fits into some MiB and then lets the input wait, also while no broker answers; nothing is lost then,
    and nothing given up. A topic that fails while others do not is refused to the input when its share is full, so
    that the input reads those events again later.
    """

    def __init__(self, options: KafkaOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        self._connection = Connection(options, find_brokers(options, host), host, on_trouble=lambda _error: None)
        self._delivery = self._connection.delivery
        self._packer = self._connection.packer(DirectOwner())
        settings = message_settings(options, host, names=FieldNames())
        self._messages = Messages(settings, guarded(options, host, self._delivery.queue), host.clock)
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Begin to connect; brokers that are away are no reason to wait."""
        await self._connection.start()

    async def process(self, batch: EventBatch) -> None:
        """Take a batch, as soon as there is room.

        Raises:
            RetryLater: a topic of the batch fails by itself, and enough waits for it.
        """
        if not batch.times:
            return
        self._messages.prepare(batch)
        topics = self._messages.topics(batch)
        budget = self._delivery.budget
        if budget.failing:
            self._check(topics or set())
        await budget.room()
        self._messages.pack(batch, DirectSource(batch, self.host), self._packer, topics=topics)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._linger_over)

    async def flush(self) -> None:
        """Wait until everything is confirmed."""
        self._packer.seal()
        await self._delivery.budget.empty()

    async def stop(self) -> None:
        """Let go of the brokers; what is not confirmed was never settled, so that inputs read it again."""
        if self._timer is not None:
            self._timer.cancel()
        await self._connection.stop()

    def _linger_over(self) -> None:
        self._timer = None
        if self._packer.seal_next():
            self._timer = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._linger_over)

    def _check(self, topics: set[str]) -> None:
        for topic in topics:
            if (why := self._delivery.full(topic)) is not None:
                raise RetryLater(f"topic {topic} takes no messages now: {why}", after=FULL_SECONDS)
