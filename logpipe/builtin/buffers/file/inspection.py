"""Inspects chunk files for `logpipe buffer`. Nothing is changed, and an engine may use the files meanwhile.

A file that the engine has just removed raises FileNotFoundError; an unfinished frame that it is writing is not damage.
Everything here blocks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import Final

from logpipe import ChunkKey, EventBatch, Time
from logpipe.builtin.buffers.file.chunk_files import Found, end_of
from logpipe.builtin.buffers.file.codec import decode_label
from logpipe.builtin.buffers.file.fluentd import FluentdChunk, read_meta
from logpipe.builtin.buffers.file.frame import Kind
from logpipe.builtin.buffers.file.frame_reader import read_batches, read_payloads
from logpipe.builtin.buffers.file.salvage import Damage, Scan, scan

PATIENCE: Final = 1.0
"""Seconds to wait for an incomplete frame at the end of a file."""
_PAUSE: Final = 0.02
_SECOND: Final = 1_000_000_000
_LIMIT: Final = 1 << 40
"""Decompressed bytes of fluentd's chunks; a large limit, since no delivery waits for the result."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Facts about a chunk that are found without reading all of it."""

    key: ChunkKey
    tag: str
    """Of its events, or of the first of them where they differ; empty where it is unknown."""
    created: Time
    count: int
    """The number of records, as far as it is known."""
    encoded: bool
    """Whether they are payloads from an output's `encode` or fluentd's `format`."""
    problem: str = ""
    """What is wrong with it, as far as that is visible; empty where nothing is."""


def summarize(found: Found) -> Summary:
    """Return a chunk's summary. Of our own chunks only the end is read, if it is intact.

    Raises:
        OSError: it cannot be read, or it is gone.
    """
    if found.fluentd is not None:
        return _summarize_fluentd(found)
    if (end := end_of(found)) is not None:
        return Summary(end.label.key, end.label.tag, end.label.created, end.count, end.encoded)
    seen = scanned(found)
    count = sum(part.count for part in seen.parts)
    created = (int(found.chunk_id[:16], 16) >> 12) * 1000
    if seen.first is None:
        return Summary(ChunkKey(), "", created, count, encoded=False, problem="damaged" if seen.damages else "")
    label, encoded = decode_label(seen.first.label), seen.first.kind is Kind.PAYLOADS
    return Summary(label.key, label.tag, label.created, count, encoded, "damaged" if seen.damages else "")


def _summarize_fluentd(found: Found) -> Summary:
    chunk = _fluentd(found)
    damages = chunk.check()
    meta = read_meta(chunk.meta_path) or {}
    created = meta.get("c")
    moment = created * _SECOND if isinstance(created, int) else (int(found.chunk_id[:16], 16) >> 12) * 1000
    problem = chunk.unreadable or ("damaged" if damages else "")
    return Summary(chunk.key, chunk.tag, moment, len(chunk), chunk.encoded, problem)


def verify(found: Found) -> tuple[int, list[Damage], str]:
    """Read all of a chunk; return the number of intact records, the damages, and why it cannot be read, "" if it can.

    Raises:
        OSError: it cannot be read, or it is gone.
    """
    if found.fluentd is not None:
        chunk = _fluentd(found)
        damages = chunk.check()
        return len(chunk), damages, chunk.unreadable
    seen = scanned(found)
    return sum(part.count for part in seen.parts), seen.damages, ""


def read(found: Found) -> Iterator[EventBatch | bytes]:
    """Yield the intact parts of a chunk, oldest first: batches, or payloads where it contains those.

    Raises:
        OSError: it cannot be read, or it is gone.
    """
    if found.fluentd is not None:
        chunk = _fluentd(found)
        chunk.check()
        yield from chunk.payloads() if chunk.encoded else chunk.batches()
        return
    seen = scanned(found)
    if seen.first is not None and seen.first.kind is Kind.PAYLOADS:
        yield from read_payloads(found.path, seen.parts)
    else:
        yield from read_batches(found.path, seen.parts)


def _fluentd(found: Found) -> FluentdChunk:
    if found.fluentd is None:
        raise ValueError(f"{found.path} is none of fluentd's")
    return FluentdChunk(found.fluentd, found.path, found.size, chunk_keys=[], zone=UTC, limit=_LIMIT)


def scanned(found: Found) -> Scan:
    """Return the intact and damaged parts of one of our chunks.

    Raises:
        OSError: it cannot be read, or it is gone.
    """
    descriptor = os.open(found.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        seen = scan(descriptor, 0, size, bytes.fromhex(found.chunk_id))
        if seen.damages and seen.damages[-1].end == size and _is_being_written(descriptor, size):
            del seen.damages[-1]
    finally:
        os.close(descriptor)
    return seen


def _is_being_written(descriptor: int, size: int) -> bool:
    """Return whether a file with an incomplete last frame grows, or is cut back to the start of that frame."""
    end = time.monotonic() + PATIENCE
    while time.time() - os.fstat(descriptor).st_mtime < PATIENCE and time.monotonic() < end:
        if os.fstat(descriptor).st_size != size:
            return True
        time.sleep(_PAUSE)
    return os.fstat(descriptor).st_size != size
