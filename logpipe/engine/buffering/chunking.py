"""Which chunk a batch of the router goes to, when a chunk is full, and what happens when the whole buffer is."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any, Final

from logpipe.config.buffer_options import BufferOptions
from logpipe.engine.accounting import ERRORS, TAKEN, comes_through_error
from logpipe.engine.buffering.awaited import Awaited
from logpipe.engine.buffering.chunk_keys import Place, Slices, when_due
from logpipe.engine.buffering.chunk_queue import ChunkQueue
from logpipe.engine.buffering.encoding import Encode, encode_all, encode_each, estimate_size, halves
from logpipe.engine.syncing import Piece, Syncing
from logpipe.errors import BufferFull, PermanentError, RecordTooLarge
from logpipe.event import EventBatch, Payloads, Receipt, size_of
from logpipe.plugin import Buffer, ChunkKey, Clock, Host, Output, StoredChunk

PATIENCE: Final = 10.0
"""Seconds that a full buffer waits for an output that delivers, before `drop_oldest_chunk` drops anything."""


class Staging:
    """The chunks of one output: those that still take events, and the queue of those that wait for delivery."""

    def __init__(
        self,
        output: Output[Any],
        buffer: Buffer[Any],
        options: BufferOptions,
        place: Place,
        host: Host,
        *,
        slices: Slices | None = None,
        has_secondary: bool = False,
    ) -> None:
        self.options = options
        self.queue = ChunkQueue(options, has_secondary=has_secondary)
        self.dropped = host.counter("drop_oldest_chunk_count", "Chunks dropped because the buffer was full.")
        self.dropped_records = host.counter("dropped_records", "Events of chunks that were dropped.")
        self.taken = host.counter(*TAKEN)
        self.left_out = host.counter("left_out_records", "Events that are in no chunk: each was an error by itself.")
        self.resumed = host.counter("resumed_records", "Events that a previous run left in the buffer.")
        self.entered = 0
        """Events that were to go into chunks, counted before they are divided among these."""
        self.uncounted: set[str] = set()
        """The ids of chunks of a previous run of which nobody has said yet how many events they hold."""
        self._errors = host.counter(*ERRORS)
        self._buffer = buffer
        self._encode: Encode | None = output.encode
        self._place = place
        self._awaited = Awaited(when_due(options, slices, host.clock), host.clock, is_settled=buffer.persistent)
        self._host = host
        self._clock: Clock = host.clock
        self._log: logging.Logger | logging.LoggerAdapter[Any] = host.log
        self._staged: dict[ChunkKey, tuple[StoredChunk, float]] = {}
        self._due: deque[tuple[ChunkKey, float]] = deque()
        """Staged chunks whose time has come, and when they were begun."""
        self._in_flight: dict[str, StoredChunk] = {}
        self._weights: dict[str, int] = {}
        self._syncing = Syncing(buffer, host, self._put_again) if buffer.persistent else None
        self._output = output
        self._output_hears = type(output).begun is not Output.begun
        self._new: list[StoredChunk] = []
        """Chunks that take events, of which the output has still to hear."""
        self._room = asyncio.Event()
        self._patient_until: float | None = None
        """Until when a full buffer waits for the delivery that is going on; None while none is waited for."""
        self._size = 0
        self._full_said = False
        self._full_size = int(options.chunk_limit_size * options.chunk_full_threshold)
        self._records_limit = options.chunk_limit_records or (1 << 62)
        self._count_gauges(host)

    def _count_gauges(self, host: Host) -> None:
        host.gauge("buffer_queue_length", lambda: len(self.queue))
        host.gauge("buffer_stage_length", lambda: len(self._staged))
        host.gauge("buffer_total_queued_size", lambda: self.size)
        host.gauge("buffer_stage_byte_size", lambda: sum(chunk.size for chunk, _ in self._staged.values()))
        host.gauge("buffer_queue_byte_size", lambda: sum(chunk.size for chunk in self.queue))
        host.gauge("buffer_available_buffer_space_ratios", lambda: 100 * max(0.0, 1 - self.size / self.options.limit))

    @property
    def size(self) -> int:
        """Bytes of all chunks: staged, queued and being delivered."""
        return sum(chunk.size for chunk in self._chunks())

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, staged or queued."""
        return not self._staged and not self.queue

    @property
    def timekeys(self) -> list[int]:
        """The time slices of all chunks, in order."""
        return sorted({chunk.key.timekey for chunk in self._chunks() if chunk.key.timekey is not None})

    @property
    def waiting(self) -> int:
        """Events in chunks: staged, queued and being delivered."""
        return sum(map(len, self._chunks()))

    def _chunks(self) -> Iterator[StoredChunk]:
        return chain(self.queue, self._in_flight.values(), (chunk for chunk, _ in self._staged.values()))

    def _weigh(self, chunk: StoredChunk) -> None:
        """Take note of a chunk's size: what is stored of events turns out when it is."""
        size = chunk.size
        self._size += size - self._weights.get(chunk.id, 0)
        self._weights[chunk.id] = size

    async def process(self, batch: EventBatch) -> None:
        """Take a batch into chunks; returns when it is as safe as the buffer makes it, or its receipt will tell.

        Raises:
            BufferFull: there is no room and `overflow_action` is throw_exception.
            LogpipeError: the buffer could not make it safe, and there is no receipt.
        """
        if self._size >= self.options.limit:
            await self._make_room()
        while problem := self._buffer.problem:
            self._give_way()
            if self.options.overflow_action == "throw_exception":
                raise BufferFull(problem)
            # never by dropping the oldest: what is wrong with the disk is no reason to lose what is on it
            await self._buffer.room()
        pieces = self._divide(batch)
        if self._syncing is not None:
            await self._syncing.take(pieces, batch.receipt)
        if self._new:
            await self._tell_output()

    def _divide(self, batch: EventBatch) -> list[Piece]:
        """Put the events of a batch into their chunks."""
        count, before = len(batch.times), self.taken.value
        self.entered += count
        try:
            parts = self._place(batch, self._leave_out)
            if comes_through_error(batch.receipt):  # a chunk in a file has no receipts that would tell
                parts = [(key._replace(came_through_error=True), part) for key, part in parts]
            return [piece for key, part in parts for piece in self._append(key, part)]
        except BaseException:
            self.entered += self.taken.value - before - count  # the rest is made again with the whole batch
            raise

    async def _tell_output(self) -> None:
        """Tell the output of the chunks that were begun."""
        new, self._new = self._new, []
        for chunk in new:
            try:
                await self._output.begun(chunk, self._buffer.file_of(chunk))
            except Exception:  # noqa: BLE001 - the events are in their chunks, whatever it makes of it
                self._log.exception("unexpected error while telling the output of a chunk")

    async def process_payloads(self, key: ChunkKey, payloads: list[bytes], receipt: Receipt) -> None:
        """Take payloads that were in another chunk with that key, as `process` takes events.

        Raises:
            PermanentError: the output does not encode its events, so that it cannot read what is encoded.
        """
        if self._encode is None:
            raise PermanentError(f"{self._host.plugin_id} cannot write what was encoded for another output")
        if self._size >= self.options.limit:
            await self._make_room()
        self.entered += len(payloads)
        batch = EventBatch(key.tag or "", [0] * len(payloads), [{}] * len(payloads), receipt)
        pieces = list(self._put(key, batch, payloads, size_of(payloads)))
        if self._syncing is not None:
            await self._syncing.take(pieces, receipt)

    async def settled(self) -> None:
        """Wait until all that was taken is as safe as the buffer makes it."""
        if self._syncing is not None:
            await self._syncing.settled()

    def resume(self, chunks: list[StoredChunk]) -> None:
        """Take what a previous run left behind: what may take more events is staged, all else queued."""
        for chunk in chunks:
            self._weigh(chunk)
            self.resumed.add(len(chunk))
            if not len(chunk):
                self.uncounted.add(chunk.id)
            self._enqueue_staged(chunk.key)
            if chunk.is_sealed or not self._suits(chunk):
                self.queue.append(chunk)
                continue
            age = max(0, self._clock.now() - chunk.created) / 1_000_000_000
            self._staged[chunk.key] = (chunk, self._clock.monotonic() - age)
            if self._output_hears:
                self._new.append(chunk)
            self._after_append(chunk.key, chunk)

    def _suits(self, chunk: StoredChunk) -> bool:
        """Return whether a chunk was filled under the settings of today."""
        keys, key = self.options.chunk_keys, chunk.key
        names = [name for name in keys if name not in {"tag", "time"}]
        return (
            chunk.encoded == (self._encode is not None)
            and (key.tag is not None) == ("tag" in keys)
            and (key.timekey is not None) == ("time" in keys)
            and [name for name, _ in key.variables] == names
        )

    def _append(self, key: ChunkKey, batch: EventBatch) -> Iterator[Piece]:
        if self._encode is None:
            batch.compact()
            return self._put(key, batch, None, estimate_size(batch))
        try:
            payloads = encode_all(self._encode, batch)
        except Exception:  # noqa: BLE001 - a bad record must not stop its batch, whatever it broke
            batch, payloads = encode_each(self._encode, batch, self._leave_out)
        return self._put(key, batch, payloads, size_of(payloads)) if payloads else iter(())

    def _leave_out(self, batch: EventBatch, index: int, error: Exception) -> None:
        """Hand an event that can be in no chunk to `@ERROR`."""
        self.taken.add(1)
        self.left_out.add(1)
        self._host.emit_error(batch.tag, batch.times[index], batch.record(index), error, receipt=batch.receipt)

    def _put_again(self, piece: Piece) -> Iterator[Piece]:
        self.entered += len(piece.batch)
        return self._put(piece.key, piece.batch, piece.payloads, piece.size)

    def _put(self, key: ChunkKey, batch: EventBatch, payloads: Payloads | None, size: int) -> Iterator[Piece]:
        """Append to the chunk of a key, or to several; yields what went where."""
        pending = [(batch, payloads, size)]
        while pending:
            part, part_payloads, part_size = pending.pop()
            chunk = self._chunk_with_room(key, part_size, len(part))
            if chunk is not None:
                errors, count = self._errors.value, len(part)
                chunk.append(part, part_payloads, part_size)
                self.taken.add(count)
                self.left_out.add(self._errors.value - errors)
                self._weigh(chunk)
                self._awaited.staged(key, part.receipt)
                yield Piece(chunk, key, part, part_payloads, part_size)
                self._after_append(key, chunk)
            elif len(part) > 1:
                pending.extend(reversed(halves(part, part_payloads)))
            else:
                limit = self.options.chunk_limit_size
                error = RecordTooLarge(f"a record of {part_size} bytes is over chunk_limit_size {limit}")
                self._leave_out(part, 0, error)

    def _chunk_with_room(self, key: ChunkKey, size: int, count: int) -> StoredChunk | None:
        """Return a chunk that takes so much, a new one if need be; None where even an empty one would not."""
        staged = self._staged.get(key)
        if staged is not None:
            chunk = staged[0]
            fits = chunk.size + size <= self.options.chunk_limit_size and len(chunk) + count <= self._records_limit
            if fits and not chunk.is_sealed:
                return chunk
            self._enqueue_staged(key)
        if size > self.options.chunk_limit_size or count > self._records_limit:
            return None
        chunk = self._buffer.new_chunk(key)
        if self._output_hears:
            self._new.append(chunk)
        self._staged[key] = (chunk, self._clock.monotonic())
        return chunk

    def _after_append(self, key: ChunkKey, chunk: StoredChunk) -> None:
        full = chunk.size >= self._full_size or len(chunk) >= self._records_limit
        if full or self.options.mode == "immediate":
            self._enqueue_staged(key)

    def _enqueue_staged(self, key: ChunkKey) -> None:
        staged = self._staged.pop(key, None)
        if staged is not None:
            self._awaited.queued(key)
            self.queue.append(staged[0])

    def enqueue_due(self) -> None:
        """Queue the staged chunks whose time has come; called by the delivery's timer."""
        chunks = ((key, created) for key, (_, created) in self._staged.items())
        self._due = deque((key, created) for key, created in chunks if self._awaited.is_due(key, created))
        self._enqueue_next()

    def _enqueue_next(self) -> None:
        """Queue what is due, for as long as the queue takes it; the timer asks again for failing keys."""
        most = self.options.queued_chunks_limit_size or self.options.flush_thread_count
        while self._due:
            key, created = self._due[0]
            if key in self._staged and self._staged[key][1] == created:
                if self.queue.takes_by_age(key, most):
                    self._enqueue_staged(key)
                elif key not in self.queue.failing:
                    return  # nor does it take any other
            self._due.popleft()

    def enqueue_all(self) -> None:
        """Queue every staged chunk, for a flush."""
        for key in list(self._staged):
            self._enqueue_staged(key)

    def take(self) -> StoredChunk | None:
        """Return the queued chunk to deliver now, None where none is due."""
        self._enqueue_next()
        return self._taken(self.queue.take(self._clock.monotonic()))

    def take_any(self, *, without: Collection[ChunkKey]) -> StoredChunk | None:
        """Return a queued chunk of another key than these, due or not; None where there is none."""
        return self._taken(self.queue.take_any(without=without))

    def _taken(self, chunk: StoredChunk | None) -> StoredChunk | None:
        if chunk is not None:
            self._in_flight[chunk.id] = chunk
        return chunk

    def give_back(self, chunk: StoredChunk) -> None:
        """Put a chunk that could not be delivered back where it was."""
        self._in_flight.pop(chunk.id, None)
        self._weigh(chunk)
        self.queue.put_back(chunk)
        if self._patient_until is not None:
            self._room.set()  # an output that begins to fail is not waited for

    async def purge(self, chunk: StoredChunk, *, taken: bool = True) -> None:
        """Forget a chunk that was delivered or given up; its room is free."""
        if taken:
            self._in_flight.pop(chunk.id, None)
            self._patient_until = None
        self._size -= self._weights.pop(chunk.id, 0)
        self.queue.purge(chunk)
        await self._buffer.purge(chunk)
        if self._size < self.options.limit:
            self._full_said = False
            self._room.set()
        elif not self.queue and not self._in_flight:
            self._room.set()  # what fills the buffer is staged, and who waits has to queue it

    def _give_way(self) -> None:
        """Queue the oldest staged chunk where nothing else would ever make room: a lazy buffer cuts its slice early."""
        if not self.queue and not self._in_flight and self._staged:
            self._enqueue_staged(next(iter(self._staged)))

    async def _make_room(self) -> None:
        for chunk in self._chunks():
            self._weigh(chunk)
        if self._size < self.options.limit:
            return
        action = self.options.overflow_action
        self._give_way()
        if action != "drop_oldest_chunk":
            self._say_full()
        if action == "throw_exception":
            raise BufferFull(f"buffer space has too many data: {self._size} of {self.options.limit} bytes")
        while self._size >= self.options.limit:
            if action == "block" or self._delivers():
                await self._wait_for_room()
            else:
                await self._drop_oldest()

    def _say_full(self) -> None:
        if not self._full_said:
            self._full_said = True
            self._log.warning(
                "failed to write data into buffer by buffer overflow action=%s size=%d limit=%d",
                self.options.overflow_action,
                self._size,
                self.options.limit,
            )

    def _delivers(self) -> bool:
        """Return whether the output is making room: an attempt is going on or due, none has failed, none takes long."""
        now = self._clock.monotonic()
        if self._patient_until is None:
            self._patient_until = now + PATIENCE
        return now < self._patient_until and not self.queue.failing and bool(self.queue or self._in_flight)

    async def _wait_for_room(self) -> None:
        self._room.clear()
        left = None if self._patient_until is None else self._patient_until - self._clock.monotonic()
        with suppress(TimeoutError):
            async with self._clock.timeout(left):
                await self._room.wait()
        self._give_way()

    async def _drop_oldest(self) -> None:
        self._say_full()
        if (chunk := self.queue.drop()) is not None:
            self.dropped.add(1)
            self.dropped_records.add(len(chunk))
            self._log.error("drop chunk %s with %d records to make room", chunk.id, len(chunk))
            await self.purge(chunk, taken=False)
        elif self._staged:
            self._enqueue_staged(next(iter(self._staged)))
        else:  # all that is left is on its way
            self._patient_until = None
            await self._wait_for_room()
