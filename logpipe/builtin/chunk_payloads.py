"""The bytes of a chunk from any output, in pieces where the chunk may be larger than the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final, Protocol, TypeAlias, runtime_checkable

from logpipe import Chunk, EventBatch
from logpipe.builtin.compression import Compression, compressor
from logpipe.codec import Payloads

Encode: TypeAlias = Callable[[EventBatch], Payloads]

PIECE: Final = 256 * 1024
"""The least number of bytes that are written or compressed at a time."""


@runtime_checkable
class HasMembers(Protocol):
    """A chunk that may already be compressed."""

    @property
    def encoded(self) -> bool:
        """Whether it holds payloads."""

    def members(self, compression: Compression) -> Iterator[bytes]:
        """Yield the payloads as compressed members; those already compressed so are not touched."""


@runtime_checkable
class HasPieces(Protocol):
    """A chunk that may have many payloads joined to one piece."""

    @property
    def encoded(self) -> bool:
        """Whether it holds payloads."""

    def pieces(self) -> Iterator[bytes]:
        """Yield the payloads, joined pieces as they are."""


def payloads_of(chunk: Chunk, encode: Encode) -> list[bytes]:
    """Return a chunk's payloads; a chunk of records is encoded by `encode`.

    An output's own chunks contain the results of its `encode`. A `<secondary>` gets another output's chunks, which may
    contain records.
    """
    return list(_payloads(chunk, chunk.payloads(), encode))


def pieces_of(chunk: Chunk, encode: Encode) -> Iterator[bytes]:
    """Yield a chunk's payloads, joined into larger pieces."""
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
    """Yield a chunk's payloads as compressed members; those already compressed so are not touched."""
    if isinstance(chunk, HasMembers) and chunk.encoded:
        return chunk.members(compression)
    return map(compressor(compression), pieces_of(chunk, encode))


def _payloads(chunk: Chunk, stored: Iterator[bytes], encode: Encode) -> Iterator[bytes]:
    first = next(stored, None)
    if first is None:
        return (payload for batch in chunk.batches() for payload in encode(batch))
    return chain((first,), stored)
