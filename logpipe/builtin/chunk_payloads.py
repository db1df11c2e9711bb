"""The bytes of a chunk, whoever filled it; in pieces where a chunk may be larger than the memory that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final, Protocol, TypeAlias, runtime_checkable

from logpipe import Chunk, EventBatch
from logpipe.builtin.compression import Compression, compressor
from logpipe.codec import Payloads

Encode: TypeAlias = Callable[[EventBatch], Payloads]

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


@runtime_checkable
class HasPieces(Protocol):
    """A chunk that may hold many payloads in one piece."""

    @property
    def encoded(self) -> bool:
        """Whether it holds payloads."""
        ...

    def pieces(self) -> Iterator[bytes]:
        """Yield the payloads, many in one piece where they are so."""
        ...


def payloads_of(chunk: Chunk, encode: Encode) -> list[bytes]:
    """Return a chunk's payloads; those of a chunk that holds records are made by `encode`.

    An output's own chunks hold what its `encode` made. As a `<secondary>` it gets another output's, which may hold
    records.
    """
    return list(_payloads(chunk, chunk.payloads(), encode))


def pieces_of(chunk: Chunk, encode: Encode) -> Iterator[bytes]:
    """Yield a chunk's payloads, many in one piece."""
    piece: list[bytes] = []
    size = 0
    stored = chunk.pieces() if isinstance(chunk, HasPieces) and chunk.encoded else chunk.payloads()
    for payload in _payloads(chunk, stored, encode):
        piece.append(payload)
        size += len(payload)
        if size >= PIECE:
            yield b"".join(piece)
            piece.clear()
            size = 0
    if size:
        yield b"".join(piece)


def compressed_of(chunk: Chunk, encode: Encode, compression: Compression) -> Iterator[bytes]:
    """Yield a chunk's payloads as compressed members; what its buffer has compressed so is not touched again."""
    if isinstance(chunk, HasMembers) and chunk.encoded:
        return chunk.members(compression)
    return map(compressor(compression), pieces_of(chunk, encode))


def _payloads(chunk: Chunk, stored: Iterator[bytes], encode: Encode) -> Iterator[bytes]:
    first = next(stored, None)
    if first is None:
        return (payload for batch in chunk.batches() for payload in encode(batch))
    return chain((first,), stored)
