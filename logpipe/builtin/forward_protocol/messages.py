"""Reads a frame: a message with one event, with several, or with packed ones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgpack
import orjson

from logpipe import Record, Time
from logpipe.builtin.forward_protocol.event_times import time_of
from logpipe.builtin.forward_protocol.events import SHOWN, Events, Refused, read_events
from logpipe.builtin.forward_protocol.frame import Frame
from logpipe.builtin.forward_protocol.heads import NIL, Span, array_at, is_array, string_at
from logpipe.builtin.forward_protocol.inflating import inflate
from logpipe.builtin.forward_protocol.limits import FrameLimits, ProtocolError
from logpipe.builtin.forward_protocol.options import NONE, Option, read_option
from logpipe.builtin.forward_protocol.singles import read_singles
from logpipe.codec import escaped, readable, unescape_values

_PAIR: Final = b"\x92"
_HUGE: Final = re.compile(rb"[0-9]{19}")
"""What orjson reads as a float, where it is not in a text."""


class Message(NamedTuple):
    """A message."""

    tag: str
    events: Events
    option: Option = NONE


def read_message(frame: Frame, now: Time, limits: FrameLimits) -> Message | None:
    """Return the message in a frame; None where there is nothing in it, as in a heartbeat.

    Events that are none are `refused`, and the others are there.

    Raises:
        ProtocolError: it is none.
    """
    data = frame.data
    if frame.form == "json":
        return _from_json(data, now)
    if data[0] == NIL:
        return None
    found = array_at(data, 0)
    if found is None or found[0] < 2:
        raise ProtocolError(f"no tag and events in {data[:16]!r}")
    count, place = found
    tag = string_at(data, place)
    if tag is None:
        raise ProtocolError(f"the tag is no text: {data[:32]!r}")
    if tag.stop - tag.start > limits.tag:
        raise ProtocolError(f"a tag of {tag.stop - tag.start} bytes: {limits.tag} are the most")
    name = str(readable(data[slice(*tag)]))
    entries = string_at(data, tag.stop)
    if entries is not None:
        return _packed(name, data, entries, count, now=now, limits=limits)
    if is_array(data[tag.stop]):
        return _forward(name, data, tag.stop, count, now=now, limits=limits)
    return _single(name, data, tag.stop, count, now=now, limits=limits)


def read_messages(frames: Sequence[Frame], now: Time, limits: FrameLimits) -> Iterator[Message]:
    """Yield the messages in frames that came together; those of one event and one tag that follow each other are one.

    Raises:
        ProtocolError: a frame is none; those before it have been yielded.
    """
    number = 0
    while number < len(frames):
        run = read_singles(frames, number, now)
        if run is None:
            message = read_message(frames[number], now, limits)
            number += 1
        else:
            message = Message(*run)
            number += len(message.events.times)
        if message is not None:
            yield message


def _packed(tag: str, data: bytes, entries: Span, count: int, *, now: Time, limits: FrameLimits) -> Message:
    option = _option(data, entries.stop, limits) if count > 2 else NONE
    if option.compressed is None:
        return Message(tag, read_events(data, *entries, now, limits)[0], option)
    block = inflate(data[slice(*entries)], option.compressed, limits)
    return Message(tag, read_events(block, 0, len(block), now, limits)[0], option)


def _forward(tag: str, data: bytes, place: int, count: int, *, now: Time, limits: FrameLimits) -> Message:
    entries = array_at(data, place)
    assert entries is not None  # noqa: S101 - the caller has looked
    events, stop = read_events(data, entries[1], len(data), now, limits, count=entries[0])
    return Message(tag, events, _option(data, stop, limits) if count > 2 else NONE)


def _single(tag: str, data: bytes, place: int, count: int, *, now: Time, limits: FrameLimits) -> Message:
    if count < 3:
        refused = [Refused("no record", repr(data[place : place + 64]))]
        return Message(tag, Events([], b"", (), refused=refused, refused_count=1))
    event = _PAIR + data[place:]  # as it stands among others
    events, stop = read_events(event, 0, len(event), now, limits, count=1)
    return Message(tag, events, _option(event, stop, limits) if count > 3 else NONE)


def _option(data: bytes, place: int, limits: FrameLimits) -> Option:
    if len(data) - place > limits.option:
        raise ProtocolError(f"more than {limits.option} bytes behind the events")
    unpacker = msgpack.Unpacker(
        read_size=1,
        max_buffer_size=max(1, len(data) - place),
        strict_map_key=False,
        unicode_errors="surrogateescape",
        object_pairs_hook=_texts,
    )
    with memoryview(data) as view:
        unpacker.feed(view[place:])
    try:
        return read_option(unpacker.unpack())
    except (ValueError, TypeError, msgpack.UnpackException) as problem:
        raise ProtocolError(f"the options of a message: {problem or type(problem).__name__}") from None


def _texts(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    """Return the fields with names that are text, which may be bytes."""
    return {str(readable(name)): value for name, value in pairs if isinstance(name, str | bytes)}


def _from_json(data: bytes, now: Time) -> Message:
    value = _loads(data)
    if not isinstance(value, list) or len(value) < 2:
        raise ProtocolError(f"no tag and events in {data[:64]!r}")
    tag, entries = value[:2]
    if not isinstance(tag, str):
        raise ProtocolError(f"the tag is no text: {data[:64]!r}")
    if isinstance(entries, str | bytes):
        raise ProtocolError(f"packed events in JSON: {data[:64]!r}")
    pairs, rest = (entries, value[2:]) if isinstance(entries, list) else ([value[1:3]], value[3:])
    times: list[Time] = []
    records: list[Record] = []
    refused: list[Refused] = []
    for pair in pairs:
        reason = _problem(pair)
        time = None if reason else time_of(pair[0], now)
        if time is None:
            if len(refused) < SHOWN:
                refused.append(Refused(reason or "no time", str(pair)[:64]))
            continue
        times.append(time)
        records.append(pair[1])
    events = Events(times, b"", (), records, refused, len(pairs) - len(times))
    return Message(tag, events, read_option(rest[0]) if rest else NONE)


def _problem(pair: Any) -> str:
    if not isinstance(pair, list):
        return "no array"
    if len(pair) < 2:
        return "no record"
    return "" if isinstance(pair[1], dict) else "the record is no map"


def _loads(data: bytes) -> Any:
    """Return a value; numbers of any length and bytes that are not UTF-8 are kept.

    Raises:
        ProtocolError: it is not JSON.
    """
    if _HUGE.search(data) is None:
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            pass
    try:
        return unescape_values(json.loads(escaped(data)))
    except (ValueError, RecursionError) as problem:
        raise ProtocolError(f"not JSON: {problem}") from None
