"""The common part of outputs with a buffer: the delivery of a chunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from logpipe import Chunk, DeliveryError, EventBatch, Output, OutputHost
from logpipe_kafka.cluster.brokers import Brokers
from logpipe_kafka.delivery.chunk_write import ChunkSource, ChunkWrite, Confirmed
from logpipe_kafka.delivery.topics import Delivery
from logpipe_kafka.messages.messages import Messages, MessageSettings
from logpipe_kafka.messages.options import MessageOptions
from logpipe_kafka.messages.packer import Packer
from logpipe_kafka.messages.topic_guard import guarded

O = TypeVar("O", bound=MessageOptions)  # noqa: E741 - the one letter that reads as "options"


class BufferedOutput(Output[O], Generic[O]):
    """Delivers chunks; a retried chunk is sent without the events that were confirmed before.

    Args:
        options: its settings.
        host: its host.
        brokers: the brokers' addresses.
        messages: how messages are made.
        fallback: topic in place of one that does not exist; "" for none.
    """

    def __init__(
        self, options: O, host: OutputHost, *, brokers: Brokers, messages: MessageSettings, fallback: str = ""
    ) -> None:
        super().__init__(options, host)
        self._delivery = Delivery(options, brokers, host, on_trouble=self._troubled, fallback=fallback)
        self._messages = Messages(messages, guarded(options, host, self._delivery.queue), host.clock)
        self._writes: set[ChunkWrite] = set()
        self._discarded = host.counter("discarded_records", "Events discarded by a setting.")

    async def start(self) -> None:
        """Begin to connect; does not wait for the brokers."""
        await self._delivery.start()

    async def stop(self) -> None:
        """Close the connection."""
        await self._delivery.stop()

    async def write(self, chunk: Chunk) -> None:
        """Deliver a chunk's events and return when all are confirmed; invalid ones went to `@ERROR`.

        Raises:
            DeliveryError: attempts have failed for too long; `chunk.progress` has the events that are done.
            RefusedRecords: a topic refuses some events; the others are delivered.
        """
        try:
            await self._deliver(chunk)
        except DeliveryError as error:
            self.give_up(chunk, error)

    def give_up(self, chunk: Chunk, error: DeliveryError) -> None:
        """Raise the `error` of a failed delivery to the buffer, or return to count the chunk as done."""
        del chunk
        raise error

    def discard(self, chunk: Chunk, error: DeliveryError) -> None:
        """Discard the undelivered events of a chunk."""
        lost = chunk.progress.count(0) if isinstance(chunk.progress, Confirmed) else len(chunk)
        self._discarded.add(lost)
        # compat: the message of out_kafka2.rb
        self.host.log.warning("DeliveryFailed occurred. Discard broken event: %s (%d events)", error, lost)

    def topic_of(self, chunk: Chunk) -> str | None:
        """Return the topic of all events of a chunk; None where each event has its own."""
        del chunk
        return None

    async def _deliver(self, chunk: Chunk) -> None:
        topic = self.topic_of(chunk)
        write = ChunkWrite(
            chunk,
            self.host,
            timeout=self._delivery.timeout,
            problem=self._delivery.problem_of,
            on_end=self._delivery.budget.wake,
        )
        packer = self._delivery.packer(write)
        self._writes.add(write)
        try:
            first = 0
            write.look()
            for batch in chunk.batches():
                await self._delivery.budget.room(unless=write.is_over)
                self._pack(batch, write, range(first, first + len(batch)), packer, topic)
                first += len(batch)
            packer.seal()
            write.look()
            await write.ended()
        except BaseException:
            packer.drop()
            self._delivery.withdraw(write)
            raise
        finally:
            write.stop()
            self._writes.discard(write)

    def _pack(
        self, batch: EventBatch, write: ChunkWrite, places: Sequence[int], packer: Packer, topic: str | None
    ) -> None:
        """Pack the unconfirmed events of one batch of a chunk."""
        left = [number for number, place in enumerate(places) if not write.done[place]]
        times, records = batch.times, batch.records
        if len(left) < len(batch):
            places = [places[number] for number in left]
            times, records = [times[number] for number in left], [records[number] for number in left]
        if self._messages.changes_records:
            # The chunk's own records must not change: it may be written again, or by a <secondary>.
            records = [record.copy() for record in records]
        own = EventBatch(batch.tag, times, records, batch.receipt)
        self._messages.prepare(own)
        source = ChunkSource(write, own, places)
        if topic is None:
            self._messages.pack(own, source, packer, topics=self._messages.topics(own))
        else:
            self._messages.pack_for(topic, own, source, packer)

    def _troubled(self) -> None:
        for write in list(self._writes):
            write.troubled()
