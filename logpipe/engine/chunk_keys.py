"""Which chunk an event belongs to: the function that `<buffer CHUNK_KEYS>` stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, tzinfo
from typing import Any, TypeAlias

from logpipe.config.buffer_options import BufferOptions
from logpipe.event import EventBatch, Record, Time
from logpipe.expression.accessor import RecordAccessor
from logpipe.plugin import ChunkKey

Place: TypeAlias = Callable[[EventBatch], Iterable[tuple[ChunkKey, EventBatch]]]
"""A batch to its parts, one for each chunk, in order of first appearance."""

SECOND = 1_000_000_000


def compile_place(options: BufferOptions, zone: tzinfo | None) -> Place:
    """Return the function that divides batches among chunks; without chunk keys, or by tag alone, it looks at none."""
    names = [key for key in options.chunk_keys if key not in {"tag", "time"}]
    by_tag, by_time = "tag" in options.chunk_keys, "time" in options.chunk_keys
    if not names and not by_time:
        return _by_tag if by_tag else _together
    slot = timekey_function(int(options.timekey or 0), zone) if by_time else None
    getters = [(name, RecordAccessor(name).get) for name in names]
    return _Divider(slot, getters, by_tag=by_tag)


_EVERYTHING = ChunkKey()


def _together(batch: EventBatch) -> Iterable[tuple[ChunkKey, EventBatch]]:
    return ((_EVERYTHING, batch),)


def _by_tag(batch: EventBatch) -> Iterable[tuple[ChunkKey, EventBatch]]:
    return ((ChunkKey(tag=batch.tag), batch),)


def timekey_function(timekey: int, zone: tzinfo | None) -> Callable[[Time], int]:
    """Return the function from an event's time to the start of its slice, seconds since the epoch.

    Slices are cut in the zone's local time (fluentd's plugin/buffer.rb and output.rb), summer time included.
    """
    if zone is UTC:
        return lambda time: (seconds := time // SECOND) - seconds % timekey

    def slot(time: Time) -> int:
        seconds = time // SECOND
        offset = datetime.fromtimestamp(seconds, zone).utcoffset()
        shift = int(offset.total_seconds()) if offset is not None else 0
        return seconds - (seconds + shift) % timekey

    return slot


class _Divider:
    """Divides by time slice and by fields."""

    def __init__(
        self,
        slot: Callable[[Time], int] | None,
        getters: list[tuple[str, Callable[[Record], Any]]],
        *,
        by_tag: bool,
    ) -> None:
        self._slot = slot
        self._getters = getters
        self._by_tag = by_tag

    def __call__(self, batch: EventBatch) -> Iterable[tuple[ChunkKey, EventBatch]]:
        tag = batch.tag if self._by_tag else None
        slot, getters = self._slot, self._getters
        parts: dict[ChunkKey, EventBatch] = {}
        for time, record in zip(batch.times, batch.records, strict=True):
            timekey = None if slot is None else slot(time)
            variables = tuple((name, _hashable(get(record))) for name, get in getters)
            key = ChunkKey(timekey, tag, variables)
            part = parts.get(key)
            if part is None:
                part = parts[key] = EventBatch(batch.tag, [], [], batch.receipt)
            part.times.append(time)
            part.records.append(record)
        if len(parts) == 1:
            return ((key, batch) for key in parts)
        return parts.items()


def _hashable(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, int, float, bool)) else repr(value)
