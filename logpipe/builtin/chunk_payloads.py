"""The bytes of a chunk, whoever filled it."""

from __future__ import annotations

from collections.abc import Callable

from logpipe import Chunk, EventBatch


def payloads_of(chunk: Chunk, encode: Callable[[EventBatch], list[bytes]]) -> list[bytes]:
    """Return a chunk's payloads; those of a chunk that holds records are made by `encode`.

    An output's own chunks hold what its `encode` made. As a `<secondary>` it gets another output's, which may hold
    records.
    """
    payloads = list(chunk.payloads())
    return payloads or [payload for batch in chunk.batches() for payload in encode(batch)]
