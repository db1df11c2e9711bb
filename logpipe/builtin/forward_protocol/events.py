"""Reads events that stand one behind the other, `[time, record]` each: their times, and where each record is."""

from __future__ import annotations

import re
import struct
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Final, NamedTuple

import msgpack

from logpipe import Record, Time
from logpipe.builtin.forward_protocol.event_times import HEAD, SECOND, extension, time_of
from logpipe.builtin.forward_protocol.heads import has_at_most, is_array, is_container, is_map
from logpipe.builtin.forward_protocol.limits import FrameLimits, ProtocolError
from logpipe.codec import unpack_records

_USUAL: Final = b"\x92" + HEAD
"""What nearly all events begin with: an array of two, and an EventTime."""
_PARTS: Final = struct.Struct(f">{len(_USUAL)}xII")
MAPS: Final = bytes(first for first in range(256) if is_map(first))
SHOWN: Final = 100
"""How many that are none are kept of one message; the others are counted."""
_SHOWN_BYTES: Final = 64
_FED: Final = 1 << 20
"""Bytes that msgpack is given at a time, since it copies them."""
_AT_ONCE: Final = 16_384
"""How many are looked at in one go: a place takes four bytes, and ten times as many while it is looked at."""
UNREADABLE: Final = re.compile(
    rb"\xff(?:(?<=[\xd4-\xd8]\xff)|(?<=\xc7.\xff)|(?<=\xc8.{2}\xff)|(?<=\xc9.{4}\xff)|(?<=\xc9\xff)\xff{3})", re.DOTALL
)
"""What may be a Timestamp, extension -1, of another length than there is, or an extension of four billion bytes.

msgpack skips both, the second as an empty one, and fails on them when they are read.
"""


class Refused(NamedTuple):
    """What was in the place of an event and is none."""

    reason: str
    shown: str
    """Its beginning, for a message."""


class Events(NamedTuple):
    """Events: lines of a block, or records that are read already."""

    times: list[Time]
    block: bytes
    spans: Sequence[int]
    """Where each record begins in the block, and where it ends."""
    records: list[Record] | None = None
    """The records, where there is no block."""
    refused: Sequence[Refused] = ()
    """What was none, `SHOWN` of them at most."""
    refused_count: int = 0


def read_events(
    block: bytes, start: int, stop: int, now: Time, limits: FrameLimits, *, count: int | None = None
) -> tuple[Events, int]:
    """Return the events that are in a part of a block, so many or all to its end, and where they end.

    Raises:
        ProtocolError: it is not MessagePack.
    """
    ends, problem = _ends(block, start, stop, count, limits.events)
    found = _read(block, ends, now)
    if problem:
        rest = Refused(problem, _shown(block, ends[-1], stop))
        found = found._replace(refused=[*found.refused, rest], refused_count=found.refused_count + 1)
    times, spans = found.times, found.spans
    if times and min(times) < SECOND:
        times[:] = [time if time >= SECOND or time < 0 else now for time in times]
    is_large = any(end - begin > limits.values for begin, end in zip(spans[::2], spans[1::2], strict=True))
    # what stands between records are times, whose bytes may look so
    is_odd = any(bisect_right(spans, mark.start()) % 2 for mark in UNREADABLE.finditer(block, start, stop))
    if is_large or is_odd:
        found = _checked(found, limits)
    return found, ends[-1]


def _read(block: bytes, ends: array[int], now: Time) -> Events:
    """Return events that end at these places, the first of which is where they begin.

    Raises:
        ProtocolError: there is not one among the first thousands.
    """
    parts = []
    for at in range(0, max(1, len(ends) - 1), _AT_ONCE):
        places = ends[at : at + _AT_ONCE + 1].tolist()
        parts.append(_usual(block, places) or _any(block, places, now))
        if not parts[0].times and parts[0].refused_count >= _AT_ONCE:
            raise ProtocolError(f"no event in {_shown(block, ends[0], ends[-1])}")
    if len(parts) == 1:
        return parts[0]
    times: list[Time] = []
    spans = array("I")
    refused: list[Refused] = []
    for part in parts:
        times += part.times
        spans.extend(part.spans)
        refused += part.refused
    return Events(times, block, spans, None, refused[:SHOWN], sum(part.refused_count for part in parts))


def _ends(block: bytes, start: int, stop: int, count: int | None, most: int) -> tuple[array[int], str]:
    """Return where the first value begins and where each ends, and what is wrong with the rest.

    Raises:
        ProtocolError: it is not MessagePack, or more values than there may be.
    """
    unpacker = msgpack.Unpacker(read_size=1, max_buffer_size=max(stop - start, 1))
    ends = array("I", [start])
    add, skip, tell = ends.append, unpacker.skip, unpacker.tell
    wanted = most if count is None else count
    try:
        with memoryview(block) as view:
            for at in range(start, stop, _FED):
                unpacker.feed(view[at : min(at + _FED, stop)])
                with suppress(msgpack.OutOfData):
                    for _ in range(min(wanted, most) + 1 - len(ends)):
                        skip()
                        add(start + tell())
                    break
    except (ValueError, msgpack.UnpackException) as error:
        raise ProtocolError(f"packed events are not MessagePack: {error or type(error).__name__}") from None
    if len(ends) > most and (wanted > most or ends[-1] != stop):
        raise ProtocolError(f"more than {most} events in one message")
    is_cut = ends[-1] != stop if count is None else len(ends) <= count
    return ends, "the end is missing" if is_cut else ""


def _usual(block: bytes, ends: list[int]) -> Events | None:
    """Return events that all are an array of EventTime and map; None where one is not."""
    starts = ends[:-1]
    size = len(_USUAL)
    if {block[place : place + size] for place in starts} - {_USUAL}:
        return None
    maps = [place + _PARTS.size for place in starts]
    if bytes([block[place] for place in maps]).translate(None, MAPS):
        return None
    unpack = _PARTS.unpack_from
    times = [seconds * SECOND + rest for seconds, rest in [unpack(block, place) for place in starts]]
    spans = array("I", bytes(8 * len(maps)))
    spans[::2] = array("I", maps)
    spans[1::2] = array("I", ends[1:])
    return Events(times, block, spans)


def _any(block: bytes, ends: list[int], now: Time) -> Events:
    """Return events of which some may be none."""
    times: list[Time] = []
    spans = array("I")
    refused: list[Refused] = []
    for start, end in pairwise(ends):
        try:
            time, record, stop = _event(block, start, end, now)
        except ValueError as problem:
            if len(refused) < SHOWN:
                refused.append(Refused(str(problem), _shown(block, start, end)))
        else:
            times.append(time)
            spans.extend((record, stop))
    return Events(times, block, spans, refused=refused, refused_count=len(ends) - 1 - len(times))


def _event(block: bytes, start: int, end: int, now: Time) -> tuple[Time, int, int]:
    """Return the time of an event, and where its record is.

    Raises:
        ValueError: it is none.
    """
    if not is_array(block[start]):
        raise ValueError("no array")
    unpacker = msgpack.Unpacker(read_size=1, max_buffer_size=end - start, ext_hook=extension)
    with memoryview(block) as view:
        unpacker.feed(view[start:end])
    if unpacker.read_array_header() < 2:
        raise ValueError("no record")
    more = 0
    if is_array(block[start + unpacker.tell()]):  # Fluent Bit's: the time, and metadata
        more = unpacker.read_array_header() - 1
        if more < 0:
            raise ValueError("no time")
    if is_container(block[start + unpacker.tell()]):
        raise ValueError("no time")
    time = time_of(unpacker.unpack(), now)
    if time is None:
        raise ValueError("no time")
    for _ in range(more):
        unpacker.skip()
    record = start + unpacker.tell()
    if not is_map(block[record]):
        raise ValueError("the record is no map")
    unpacker.skip()
    return time, record, start + unpacker.tell()


def _checked(found: Events, limits: FrameLimits) -> Events:
    """Return events without those that cannot be read, or would be too large when they are."""
    block, times, spans, refused = found.block, [], array("I"), list(found.refused)
    for time, start, stop in zip(found.times, found.spans[::2], found.spans[1::2], strict=True):
        try:
            if stop - start > limits.values and not has_at_most(limits.values, block, start):
                raise ValueError(f"more than {limits.values} values")  # noqa: TRY301 - one record's
            if UNREADABLE.search(block, start, stop):
                unpack_records([block[start:stop]])
        except ValueError as problem:
            if len(refused) < SHOWN:
                refused.append(Refused(str(problem), _shown(block, start, stop)))
        else:
            times.append(time)
            spans.extend((start, stop))
    count = found.refused_count + len(found.times) - len(times)
    return Events(times, block, spans, refused=refused, refused_count=count)


def _shown(block: bytes, start: int, stop: int) -> str:
    return repr(block[start : min(stop, start + _SHOWN_BYTES)])
