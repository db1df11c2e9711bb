"""Which chunk an event belongs to: the function that `<buffer CHUNK_KEYS>` stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, tzinfo
from typing import Any, Final, TypeAlias

from logpipe.config.buffer_options import BufferOptions
from logpipe.errors import LogpipeError
from logpipe.event import EventBatch, Record, Time
from logpipe.expression.accessor import RecordAccessor
from logpipe.expression.runtime.text import to_s
from logpipe.plugin import ChunkKey, Clock
from logpipe.plugin.chunk import identity
from logpipe.time_format.memo import Memo
from logpipe.time_format.zones import has_date, utc_offset

Refuse: TypeAlias = Callable[[EventBatch, int, Exception], None]
"""Takes the event of a batch, by its number, that belongs to no chunk."""

Place: TypeAlias = Callable[[EventBatch, Refuse], Iterable[tuple[ChunkKey, EventBatch]]]
"""A batch to its parts, one for each chunk, in order of first appearance."""

SECOND: Final = 1_000_000_000

LONGEST_VALUE: Final = 64 * 1024
"""Characters. What names a file, a topic or an index is shorter, and the key is written with each part of a chunk."""


class KeyRefused(LogpipeError):  # noqa: N818 - it says what is wrong
    """An event's time or one of its fields cannot be a chunk key."""


def compile_place(options: BufferOptions, slices: Slices | None) -> Place:
    """Return the function that divides batches among chunks; without chunk keys, or by tag alone, it looks at none."""
    names = [key for key in options.chunk_keys if key not in {"tag", "time"}]
    by_tag = "tag" in options.chunk_keys
    if not names and slices is None:
        return _by_tag if by_tag else _together
    return _Divider(slices, [(name, RecordAccessor(name).get) for name in names], by_tag=by_tag)


def when_due(options: BufferOptions, slices: Slices | None, clock: Clock) -> Callable[[ChunkKey, float], bool]:
    """Return the function that tells of a chunk, by its key and when it was begun, whether its time has come."""
    interval, wait = options.flush_interval, options.timekey_wait

    def is_old(_key: ChunkKey, created: float) -> bool:
        return clock.monotonic() >= created + interval

    def is_slice_over(key: ChunkKey, _created: float) -> bool:
        if slices is None or key.timekey is None:
            return True
        return slices.end(key.timekey) + wait <= clock.now() / SECOND

    if options.mode == "interval":
        return is_old
    return is_slice_over if options.timekey and "time" in options.chunk_keys else _never


_EVERYTHING = ChunkKey()


def _never(_key: ChunkKey, _created: float) -> bool:
    return False


def _together(batch: EventBatch, _refuse: Refuse) -> Iterable[tuple[ChunkKey, EventBatch]]:
    return ((_EVERYTHING, batch),)


def _by_tag(batch: EventBatch, _refuse: Refuse) -> Iterable[tuple[ChunkKey, EventBatch]]:
    return ((ChunkKey(tag=batch.tag), batch),)


class Slices:
    """The slices of time that `timekey` cuts, in a zone's local time: a day begins at midnight there.

    Where clocks change, a day has 23 or 25 hours. fluentd's output.rb keeps the offset from UTC that it started with,
    or for a named zone cuts such a day in two, the second of which begins on the day before.

    Args:
        timekey: their length, seconds.
        zone: None is the machine's own.
    """

    def __init__(self, timekey: int, zone: tzinfo | None) -> None:
        self._length = timekey
        self._zone = zone
        self._starts: Memo[int, int] = Memo(self._start)

    @classmethod
    def of(cls, options: BufferOptions, zone: tzinfo | None) -> Slices | None:
        """Return the slices of a buffer, None where `time` is no chunk key."""
        return cls(int(options.timekey or 0), zone) if "time" in options.chunk_keys else None

    def start(self, time: Time) -> int:
        """Return when the slice of an event begins, seconds since the epoch.

        Raises:
            KeyRefused: the time has no date.
        """
        return self._starts[time // SECOND]

    def end(self, start: int) -> int:
        """Return the end of a slice that begins at `start`, seconds since the epoch."""
        end = start + self._length
        if not (has_date(start) and has_date(end)):
            return end
        if self._starts[end] == start:  # clocks go back meanwhile
            return end + utc_offset(start, self._zone) - utc_offset(end, self._zone)
        return self._starts[end]  # if they go forward, the next one has begun by then

    def _start(self, second: int) -> int:
        if not has_date(second):
            raise KeyRefused(f"the event's time, {second} seconds since 1970, has no date in the years 0 to 9999")
        if self._zone is UTC:
            return second - second % self._length
        offset = utc_offset(second, self._zone)
        start = second - (second + offset) % self._length
        # the clock may have changed since: what it showed then is what counts
        return start + offset - utc_offset(start, self._zone)


class _Divider:
    """Divides by time slice and by fields."""

    def __init__(
        self, slices: Slices | None, getters: list[tuple[str, Callable[[Record], Any]]], *, by_tag: bool
    ) -> None:
        self._start: Callable[[Time], int] | None = slices.start if slices is not None else None
        self._getters = getters
        self._by_tag = by_tag

    def __call__(self, batch: EventBatch, refuse: Refuse) -> Iterable[tuple[ChunkKey, EventBatch]]:
        start, getters = self._start, self._getters
        if start is not None and not getters:
            key = self._common_key(start, batch)
            return self._by_time(start, batch, refuse) if key is None else ((key, batch),)
        parts: dict[tuple[Any, ...], tuple[ChunkKey, list[int]]] = {}
        for index, (time, record) in enumerate(zip(batch.times, batch.records, strict=True)):
            try:
                timekey = None if start is None else start(time)
                values = [get(record) for _, get in getters]
                typed = (timekey, *[value if type(value) is str else identity(value) for value in values])
                part = parts.get(typed)
                if part is None:
                    part = parts[typed] = (self._key(timekey, batch.tag, values), [])
            except Exception as error:  # noqa: BLE001 - a bad record must not stop its batch, whatever it broke
                refuse(batch, index, error)
                continue
            part[1].append(index)
        return [(key, _part(batch, numbers)) for key, numbers in parts.values()]

    def _by_time(
        self, start: Callable[[Time], int], batch: EventBatch, refuse: Refuse
    ) -> Iterable[tuple[ChunkKey, EventBatch]]:
        """Divide by time slice; the records are looked at for none of it."""
        parts: dict[int, list[int]] = {}
        for index, time in enumerate(batch.times):
            try:
                timekey = start(time)
            except Exception as error:  # noqa: BLE001 - as above
                refuse(batch, index, error)
                continue
            if timekey in parts:
                parts[timekey].append(index)
            else:
                parts[timekey] = [index]
        tag = batch.tag if self._by_tag else None
        return [(ChunkKey(timekey, tag), _part(batch, numbers)) for timekey, numbers in parts.items()]

    def _common_key(self, start: Callable[[Time], int], batch: EventBatch) -> ChunkKey | None:
        """Return the key of a whole batch where time and tag are all there is to it; None where slices differ."""
        try:
            first, last = start(min(batch.times)), start(max(batch.times))
        except Exception:  # noqa: BLE001 - one of its events has no slice: which one is found out below
            return None
        return ChunkKey(first, batch.tag if self._by_tag else None) if first == last else None

    def _key(self, timekey: int | None, tag: str, values: list[Any]) -> ChunkKey:
        """Return the key of a new chunk.

        Raises:
            LogpipeError: a value cannot be written as text.
        """
        variables = tuple((name, value) for (name, _), value in zip(self._getters, values, strict=True))
        for name, value in variables:
            if len(to_s(value)) > LONGEST_VALUE:
                raise KeyRefused(f"the chunk key {name} has more than {LONGEST_VALUE} characters")
        return ChunkKey(timekey, tag if self._by_tag else None, variables)


def _part(batch: EventBatch, numbers: list[int]) -> EventBatch:
    """Return the events of ascending numbers; those that follow each other cost less."""
    first, end = numbers[0], numbers[-1] + 1
    return batch.slice(first, end) if end - first == len(numbers) else batch.pick(numbers)
