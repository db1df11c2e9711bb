"""`<buffer> @type memory`: chunks in this process; a receipt settles when its events are delivered."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from logpipe import Buffer, BufferOptions, ChunkKey, EventBatch, StoredChunk
from logpipe.builtin.buffers.compressed import CompressedChunk, HeldChunk
from logpipe.codec import Encoded, Payloads, pieces_in


class MemoryBufferOptions(BufferOptions):
    """The common settings only."""


class MemoryChunk(HeldChunk):
    """Batches of events, or payloads encoded by their output."""

    def __init__(self, key: ChunkKey) -> None:
        super().__init__(key)
        self._batches: list[EventBatch] = []
        self._payloads: list[Payloads] = []

    @property
    def encoded(self) -> bool:
        """Whether it holds payloads."""
        return bool(self._payloads)

    def batches(self) -> Iterator[EventBatch]:
        """Yield the batches, oldest first."""
        return iter(self._batches)

    def payloads(self) -> Iterator[bytes]:
        """Yield the payloads, oldest first."""
        return chain.from_iterable(self._payloads)

    def pieces(self) -> Iterator[bytes]:
        """Yield the payloads, oldest first, joined pieces as they are."""
        return chain.from_iterable(map(pieces_in, self._payloads))

    def append(self, batch: EventBatch, payloads: Payloads | None, size: int) -> None:
        """Keep the batch, or its payloads and receipt."""
        self.hold(batch.receipt)
        if payloads is None:
            self._batches.append(batch)
        else:
            self._add(payloads)
            self._batches.append(EventBatch(batch.tag, [], [], batch.receipt))
        self.count += len(batch)
        self.size += size

    def _add(self, payloads: Payloads) -> None:
        last = self._payloads[-1] if self._payloads else None
        if isinstance(payloads, Encoded):
            self._payloads.append(payloads)
        elif isinstance(last, list):
            last.extend(payloads)
        else:
            self._payloads.append([*payloads])  # the list is the output's, and this one grows

    def release(self) -> None:
        """Release the receipts and drop the events."""
        self._batches, self._payloads = [], []
        super().release()


class MemoryBuffer(Buffer[MemoryBufferOptions], type="memory"):
    """Chunks in memory."""

    def new_chunk(self, key: ChunkKey) -> StoredChunk:
        """Return an empty chunk."""
        if self.options.compress == "text":
            return MemoryChunk(key)
        return CompressedChunk(key, compression=self.options.compress, refuse=self._refuse)

    async def purge(self, chunk: StoredChunk) -> None:
        """Release the receipts of a chunk that was delivered or abandoned."""
        if isinstance(chunk, HeldChunk):
            chunk.release()

    def _refuse(self, batch: EventBatch, index: int, error: Exception) -> None:
        self.host.emit_error(batch.tag, batch.times[index], batch.record(index), error, receipt=batch.receipt)
