"""The bytes of a chunk, whoever filled it; in pieces where a chunk may be larger than the memory that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final, Protocol, runtime_checkable

from logpipe import Chunk, EventBatch
from logpipe.builtin.compression import Compression, compressor

PIECE: Final = 256 * 1024
"""Bytes, at least, that are handed on, written and compressed at a time."""


@runtime_checkable
class HasMembers(Protocol):
    """A chunk that may be compressed already."""

    @property
    def encoded(self) -> bool:
        """Whether it holds payloads."""
        ...

    def members(self, compression: Compression) -> Iterator[bytes]:
        """Yield the payloads as compressed members, those that are stored so as they are."""
        ...


def payloads_of(chunk: Chunk, encode: Callable[[EventBatch], list[bytes]]) -> list[bytes]:
    """Return a chunk's payloads; those of a chunk that holds records are made by `encode`.

    An output's own chunks hold what its `encode` made. As a `<secondary>` it gets another output's, which may hold
    records.
    """
    return list(_payloads(chunk, encode))


def pieces_of(chunk: Chunk, encode: Callable[[EventBatch], list[bytes]]) -> Iterator[bytes]:
    """Yield a chunk's payloads, many in one piece."""
    piece: list[bytes] = []
    size = 0
    for payload in _payloads(chunk, encode):
        piece.append(payload)
        size += len(payload)
        if size >= PIECE:
            yield b"".join(piece)
            piece.clear()
            size = 0
    if size:
        yield b"".join(piece)


def compressed_of(
    chunk: Chunk, encode: Callable[[EventBatch], list[bytes]], compression: Compression
) -> Iterator[bytes]:
    """Yield a chunk's payloads as compressed members; what its buffer has compressed so is not touched again."""
    if isinstance(chunk, HasMembers) and chunk.encoded:
        return chunk.members(compression)
    return map(compressor(compression), pieces_of(chunk, encode))


def _payloads(chunk: Chunk, encode: Callable[[EventBatch], list[bytes]]) -> Iterator[bytes]:
    payloads = iter(chunk.payloads())
    first = next(payloads, None)
    if first is None:
        return (payload for batch in chunk.batches() for payload in encode(batch))
    return chain((first,), payloads)
