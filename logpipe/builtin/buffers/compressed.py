"""A compressed chunk in memory: the frames of a buffer file, without the file."""

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


class CompressedChunk:
    """Events, or payloads encoded by their output; about a frame for each batch.

    Args:
        key: the chunk key of its events.
        compression: how frames are compressed.
        refuse: receives the events that cannot be stored in a frame.
    """

    is_sealed: Final = False
    created: Final = 0

    def __init__(self, key: ChunkKey, *, compression: Compression, refuse: Refuse) -> None:
        self.id = uuid.uuid4().hex
        self.key = key
        self.size = 0
        self.encoded = False
        """Whether it holds payloads."""
        self.progress: Any = None
        self._compression = compression
        self._refuse = refuse
        self._count = 0
        self._frames: list[tuple[bytes, bytes]] = []
        self._receipts: list[Receipt] = []

    def __len__(self) -> int:
        return self._count

    def append(self, batch: EventBatch, payloads: Payloads | None, size: int) -> None:
        """Compress the events, or the payloads, and keep the receipt."""
        self.encoded = payloads is not None
        if payloads is not None:
            contents = encode_payloads(payloads, size)
        else:
            contents = encode_events(batch, size, lambda index, error: self._refuse(batch, index, error))
        label = encode_label(Label(batch.tag, self.key, self.created))
        for content in contents:
            frame = encode_frame(bytes.fromhex(self.id), self._count, label, content, compression=self._compression)
            self._frames.append(frame[:2])
            self.size += sum(map(len, frame[:2]))
            self._count += len(content.records)
        if batch.receipt is not None:
            batch.receipt.hold()
            self._receipts.append(batch.receipt)

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

    async def sync(self) -> None:
        """Do nothing: memory does not survive a kill -9, so the receipts are held instead."""

    def release(self) -> None:
        """Release the receipts and drop the events."""
        receipts, self._receipts, self._frames = self._receipts, [], []
        for receipt in receipts:
            receipt.release()
