"""The common part of outputs with a buffer: the delivery of a chunk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from logpipe import Chunk, DeliveryError, EventBatch, Host, Output, OutputHost, RefusedRecords
from logpipe.discovery import Peer
from logpipe_kafka.cluster.brokers import Brokers
from logpipe_kafka.cluster.verdict import reason
from logpipe_kafka.delivery.topics import Delivery
from logpipe_kafka.messages.batch import Batch
from logpipe_kafka.messages.messages import Messages, MessageSettings
from logpipe_kafka.messages.options import MessageOptions
from logpipe_kafka.messages.packer import Packer
from logpipe_kafka.messages.topic_guard import guarded

O = TypeVar("O", bound=MessageOptions)  # noqa: E741 - the one letter that reads as "options"


class Confirmed(bytearray):
    """The events of a chunk that are done: one byte each, 1 for done."""


class ChunkWrite:
    """The unconfirmed events of a chunk; also the owner of the batches with these events.

    `chunk.progress` has the events that are done.

    Args:
        chunk: to deliver.
        host: the output's.
        timeout: seconds after a first failure, without a success in between, after which the chunk goes back.
        problem: returns the current problem of the brokers or of one of the chunk's topics; None without one.
        on_end: called when the delivery has ended.
    """

    def __init__(
        self,
        chunk: Chunk,
        host: Host,
        *,
        timeout: float,
        problem: Callable[[ChunkWrite], Exception | None],
        on_end: Callable[[], None],
    ) -> None:
        if not isinstance(chunk.progress, Confirmed) or len(chunk.progress) != len(chunk):
            chunk.progress = Confirmed(len(chunk))
        self.done: Confirmed = chunk.progress
        self.host = host
        self._timeout = timeout
        self._left = len(chunk) - sum(self.done)
        self._problem = problem
        self._limit: asyncio.TimerHandle | None = None
        self._refusal: Exception | None = None
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended.add_done_callback(lambda _ended: on_end())

    def settle(self, places: Iterable[int]) -> None:
        """Record that events, by their number in the chunk, are done."""
        for place in places:
            self.done[place] = 1
            self._left -= 1
        if self._limit is not None:
            self._wait_again()
        self._end_if_done()

    def look(self) -> None:
        """Start the timeout where there is a problem already, since the next failure may take a while."""
        if self._problem(self) is not None:
            self.troubled()

    def troubled(self) -> None:
        """Handle a failed attempt: it starts the timeout after which the chunk goes back."""
        if self._limit is None:
            self._wait_again()

    def _wait_again(self) -> None:
        self.stop()
        if not self._ended.done():
            self._limit = asyncio.get_running_loop().call_later(self._timeout, self._time_out)

    def _time_out(self) -> None:
        self._limit = None
        error = self._problem(self)
        if error is not None and not self._ended.done():
            failure = DeliveryError(f"delivery to Kafka failed: {reason(error)}")
            failure.__cause__ = error
            self._ended.set_exception(failure)

    def stop(self) -> None:
        """Cancel the timeout."""
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def refused(self, batch: Batch, error: Exception) -> None:
        """Record a batch's events as refused; the others of the chunk are still delivered."""
        self._refusal = error
        self._left -= batch.record_count()
        self._end_if_done()

    def is_over(self) -> bool:
        """Return whether the delivery has ended, successfully or not."""
        return self._ended.done()

    async def ended(self) -> None:
        """Wait until every event is confirmed or refused.

        Raises:
            DeliveryError: attempts have failed for too long.
            RefusedRecords: a topic refuses some events; all others are delivered.
        """
        self._end_if_done()
        await self._ended

    def _end_if_done(self) -> None:
        if self._left > 0 or self._ended.done():
            return
        if self._refusal is None:
            self._ended.set_result(None)
        else:
            refused = {place: self._refusal for place, done in enumerate(self.done) if not done}
            self._ended.set_exception(RefusedRecords(refused))


class ChunkSource:
    """Some events of a chunk.

    Args:
        write: the chunk's delivery.
        batch: the events.
        places: their numbers in the chunk.
    """

    __slots__ = ("_batch", "_places", "_write")

    def __init__(self, write: ChunkWrite, batch: EventBatch, places: Sequence[int]) -> None:
        self._write = write
        self._batch = batch
        self._places = places

    def hold(self) -> None:
        """Do nothing: the chunk holds the receipts."""

    def settle(self, numbers: Sequence[int]) -> None:
        """Record that these events were confirmed."""
        self._write.settle(self._places[number] for number in numbers)

    def refuse(self, number: int, error: Exception) -> None:
        """Pass an event to `@ERROR`; it is then done."""
        batch = self._batch
        self._write.host.emit_error(batch.tag, batch.times[number], batch.records[number], error, receipt=batch.receipt)
        self._write.settle((self._places[number],))


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

    async def peers(self) -> list[Peer]:
        """Return the brokers."""
        return await self._delivery.peers()

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
