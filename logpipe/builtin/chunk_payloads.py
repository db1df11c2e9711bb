"""The bytes of a chunk, whoever filled it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from logpipe import Chunk, EventBatch
from logpipe.builtin.compression import Compression, compressor


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
    payloads = list(chunk.payloads())
    return payloads or [payload for batch in chunk.batches() for payload in encode(batch)]


def compressed_of(chunk: Chunk, encode: Callable[[EventBatch], list[bytes]], compression: Compression) -> bytes:
    """Return a chunk's payloads as compressed members; what its buffer has compressed so is not touched again."""
    if isinstance(chunk, HasMembers) and chunk.encoded:
        return b"".join(chunk.members(compression))
    return compressor(compression)(b"".join(payloads_of(chunk, encode)))
