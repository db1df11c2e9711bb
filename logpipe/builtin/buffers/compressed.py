"""Chunks in memory: their common part, and the compressed one, which has the frames of a buffer file."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from logpipe import ChunkKey, EventBatch, Receipt
from logpipe.builtin.buffers.file.codec import Label, decode_body, encode_events, encode_label, encode_payloads
from logpipe.builtin.buffers.file.frame import HEAD, Index, encode_frame, inflate, parse_block
from logpipe.builtin.buffers.file.frame_reader import payloads_in
from logpipe.builtin.compression import Compression, compressor
from logpipe.codec import Payloads

Refuse: TypeAlias = Callable[[EventBatch, int, Exception], None]
"""Passes an event that cannot be stored to `@ERROR`."""


class HeldChunk:
    """A chunk in memory. That does not survive a kill -9, so the receipts are held until the chunk is delivered."""

    is_sealed: Final = False
    created: Final = 0

    def __init__(self, key: ChunkKey) -> None:
        self.id = uuid.uuid4().hex
        self.key = key
        self.size = 0
        self.count = 0
        self.progress: Any = None
        self._receipts: list[Receipt] = []

    def __len__(self) -> int:
        return self.count

    def hold(self, receipt: Receipt | None) -> None:
        """Keep a receipt."""
        if receipt is not None:
            receipt.hold()
            self._receipts.append(receipt)

    async def sync(self) -> None:
        """Do nothing."""

    def release(self) -> None:
        """Release the receipts."""
        receipts, self._receipts = self._receipts, []
        for receipt in receipts:
            receipt.release()


class CompressedChunk(HeldChunk):
    """Events, or payloads encoded by their output; about a frame for each batch.

    Args:
        key: the chunk key of its events.
        compression: how frames are compressed.
        refuse: receives the events that cannot be stored in a frame.
    """

    def __init__(self, key: ChunkKey, *, compression: Compression, refuse: Refuse) -> None:
        super().__init__(key)
        self.encoded = False
        """Whether it holds payloads."""
        self._compression = compression
        self._refuse = refuse
        self._frames: list[tuple[bytes, bytes]] = []

    def append(self, batch: EventBatch, payloads: Payloads | None, size: int) -> None:
        """Compress the events, or the payloads, and keep the receipt."""
        self.encoded = payloads is not None
        if payloads is not None:
            contents = encode_payloads(payloads, size)
        else:
            contents = encode_events(batch, size, lambda index, error: self._refuse(batch, index, error))
        label = encode_label(Label(batch.tag, self.key, self.created))
        for content in contents:
            frame = encode_frame(bytes.fromhex(self.id), self.count, label, content, compression=self._compression)
            self._frames.append(frame[:2])
            self.size += sum(map(len, frame[:2]))
            self.count += len(content.records)
        self.hold(batch.receipt)

    def batches(self) -> Iterator[EventBatch]:
        """Yield the events, oldest first."""
        if not self.encoded:
            for index, body in self._indexed():
                yield decode_body(index, inflate(index, body))

    def payloads(self) -> Iterator[bytes]:
        """Yield the payloads, oldest first."""
        if self.encoded:
            for index, body in self._indexed():
                yield from payloads_in(None, index, inflate(index, body))

    def pieces(self) -> Iterator[bytes]:
        """Yield the payloads, those of a frame in one piece."""
        return (inflate(index, body) for index, body in self._indexed())

    def members(self, compression: Compression) -> Iterator[bytes]:
        """Yield the payloads as compressed members; those already compressed so are not touched."""
        compress = compressor(compression)
        for index, body in self._indexed():
            yield body if index.compression == compression else compress(inflate(index, body))

    def _indexed(self) -> Iterator[tuple[Index, bytes]]:
        for head, body in self._frames:
            index = parse_block(head, HEAD)
            if index is None:
                raise RuntimeError("a frame in memory cannot be read")
            yield index, body

    def release(self) -> None:
        """Release the receipts and drop the events."""
        self._frames = []
        super().release()
