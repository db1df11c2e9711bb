"""Reads the content of a buffer file, a frame at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from logpipe import EventBatch
from logpipe.builtin.buffers.file.codec import decode_body, decode_label, decode_records
from logpipe.builtin.buffers.file.frame import FIXED_SIZE, HEAD, Index, Kind, block_size, inflate, parse_block
from logpipe.builtin.buffers.file.salvage import Extent, Fragment
from logpipe.builtin.compression import Compression, compressor

_READ_AHEAD: Final = 128 * 1024


class ChangedError(Exception):
    """A file has changed since it was checked."""


def read_payloads(path: Path, parts: Iterable[Extent | Fragment]) -> Iterator[bytes]:
    """Yield the payloads of some parts of a file; events are skipped."""
    for part, index, body in read_frames(path, parts):
        if index.kind is Kind.PAYLOADS:
            yield from payloads_in(part, index, body)


def read_pieces(path: Path, parts: Iterable[Extent | Fragment]) -> Iterator[bytes]:
    """Yield the payloads of some parts of a file, those of a frame in one piece; events are passed over."""
    for part, index, body in read_frames(path, parts):
        if index.kind is Kind.PAYLOADS:
            yield b"".join(payloads_in(part, index, body)) if isinstance(part, Fragment) else body


def payloads_in(part: Extent | Fragment | None, index: Index, body: bytes) -> Iterator[bytes]:
    """Yield the payloads of one frame, or of a fragment."""
    if isinstance(part, Fragment):
        return (body[start:end] for _, start, end in part.spans)
    return (body[start:end] for start, end in pairwise((*index.offsets(), index.whole_size)))


def read_members(path: Path, parts: Iterable[Extent | Fragment], compression: Compression) -> Iterator[bytes]:
    """Yield the payloads of some parts of a file compressed; those already compressed so are not touched."""
    compress = compressor(compression)
    for part, index, body in _raw_frames(path, parts):
        if index.kind is not Kind.PAYLOADS:
            continue
        if index.compression == compression and isinstance(part, Extent):
            yield body
        else:
            yield compress(b"".join(payloads_in(part, index, inflate(index, body))))


def read_batches(path: Path, parts: Iterable[Extent | Fragment]) -> Iterator[EventBatch]:
    """Yield the events of some parts of a file; payloads give an empty batch."""
    for part, index, body in read_frames(path, parts):
        if index.kind is Kind.PAYLOADS:
            yield EventBatch(decode_label(index.label).tag, [], [])
        elif isinstance(part, Extent):
            yield decode_body(index, body)
        else:
            numbers = [number for number, _, _ in part.spans]
            yield decode_records(index, numbers, [body[start:end] for _, start, end in part.spans])


def read_frames(path: Path, parts: Iterable[Extent | Fragment]) -> Iterator[tuple[Extent | Fragment, Index, bytes]]:
    """Yield each frame's part, index and decompressed body; of a fragment the remaining part of the body."""
    return ((part, index, inflate(index, body)) for part, index, body in _raw_frames(path, parts))


def _raw_frames(path: Path, parts: Iterable[Extent | Fragment]) -> Iterator[tuple[Extent | Fragment, Index, bytes]]:
    with path.open("rb", buffering=_READ_AHEAD) as file:
        for part in parts:
            if isinstance(part, Extent):
                file.seek(part.start)
                place = part.start
                while place < part.end:
                    index = _head(file.read(FIXED_SIZE), file.read)
                    body = file.read(index.body_size)
                    file.seek(index.frame_size - index.size - index.body_size, os.SEEK_CUR)
                    place += index.frame_size
                    yield part, index, body
            else:
                file.seek(part.start)
                yield part, part.index, file.read(part.end - part.start)


def _head(fixed: bytes, read: Callable[[int], bytes]) -> Index:
    size = block_size(fixed, HEAD)
    index = None if size is None else parse_block(fixed + read(size - FIXED_SIZE), HEAD)
    if index is None:
        raise ChangedError("a frame that was intact is damaged now")
    return index
