"""From what a request holds to records and times.

A record that is bad, or a line that holds none, is told apart from the others, which go on; a request of which nothing
is any good is refused as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Final, NoReturn

import msgpack

from logpipe import ParseError, Record, Time
from logpipe.builtin.in_http.content import RefusedError
from logpipe.builtin.parsers.json import NOT_JSON, read_json, read_lines
from logpipe.codec import LineParser, compile_typed_parser, escaped, text_or_bytes, unescape_values

MOST_VALUES: Final = 2_097_152
"""Arrays and objects in one request: each is a few bytes, and some sixty when it is read."""
MOST_TOGETHER: Final = 1024 * 1024
"""Bytes of lines that are read all at once."""
MOST_SINGLE: Final = 100
"""Bad records of a request that are error events of their own; those beyond are one together."""
_NANOS: Final = 1_000_000_000
_MOST_SECONDS: Final = 10**30
_NUMBER: Final = re.compile(rb"\s*([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)")
_SMALL_CONTAINERS: Final = bytes(range(0x80, 0xA0))
_EXTENSION: Final = 8
_FLOAT: Final = compile_typed_parser("float", None)

Timer = Callable[[Any], Time]
"""A field's value to a time; ParseError where it is none."""


@dataclass(slots=True)
class Found:
    """What was found."""

    records: list[Record] = field(default_factory=list)
    times: list[Time | None] = field(default_factory=list)
    """As the parser has them; None where it has none. Empty where nobody has looked yet."""
    bad: list[tuple[Record, str]] = field(default_factory=list)
    """What is no good, each with the reason; `MOST_SINGLE` at most."""
    more: list[Any] = field(default_factory=list)
    """What is no good beyond that, as it came: whoever sends rubbish makes no more of it than it is."""

    def is_bad(self, value: Any, reason: str) -> None:
        """Keep a value that is no record, or has no time."""
        if len(self.bad) < MOST_SINGLE:
            self.bad.append((value if isinstance(value, dict) else {"message": value}, reason))
        else:
            self.more.append(value)


def found_in(parameters: Mapping[str, bytes]) -> Found:
    """Return the records of the parameter that holds them.

    Raises:
        RefusedError: there is none, or it cannot be read.
    """
    if (packed := parameters.get("msgpack")) is not None:
        return _from_msgpack(packed)
    if (document := parameters.get("json")) is not None:
        return _from_json([document], document)
    if (lines := parameters.get("ndjson")) is not None:
        return _from_lines(lines)
    # compat: the message of in_http.rb
    raise RefusedError("'json', 'ndjson' or 'msgpack' parameter is required")


def found_by(parser: LineParser, body: bytes) -> Found:
    """Return the records that a parser finds in a body, which is one text to it."""
    text = escaped(body)
    try:
        events = parser.parse(text)
    except ParseError as problem:
        raise RefusedError(str(problem)) from None
    if not events:
        raise RefusedError("pattern not matched")
    records = [record if text.isascii() else unescape_values(record) for _, record in events]
    return Found(records, [time for time, _ in events])


def _from_lines(text: bytes) -> Found:
    # many lines are read some at a time, so that what one of them lacks makes not all of them be read twice
    if len(text) <= MOST_TOGETHER and set(map(type, values := read_lines(text))) == {dict}:
        return Found(values)
    return _from_json(_lines_of(text), text)


def _lines_of(text: bytes) -> list[bytes]:
    if len(text) > MOST_VALUES and text.count(b"\n") > MOST_VALUES:
        _refuse_many()
    lines = text.split(b"\n")
    if b"\r" in text:
        lines = [line.removesuffix(b"\r") for line in lines]
    return list(filter(None, lines))


def _refuse_many() -> NoReturn:
    raise RefusedError(f"there are more than {MOST_VALUES} values: send less at a time")


def _from_json(texts: list[bytes], body: bytes) -> Found:
    if len(body) > MOST_VALUES and body.count(b"{") + body.count(b"[") > MOST_VALUES:
        _refuse_many()
    values = read_json(texts, body)
    if set(map(type, values)) <= {dict}:
        return Found(values)
    found = Found()
    for text, value in zip(texts, values, strict=True):
        if value is NOT_JSON:
            found.is_bad(text_or_bytes(text), "it is no JSON")
        elif isinstance(value, list):
            _sort(value, found)
        else:
            _sort([value], found)
    return found


def _sort(values: list[Any], found: Found) -> None:
    if len(values) > MOST_VALUES:
        _refuse_many()
    for value in values:
        if isinstance(value, dict):
            found.records.append(value)
        else:
            found.is_bad(value, "it is no object")


def _from_msgpack(packed: bytes) -> Found:
    try:
        values = _unpacked(packed)
    except RefusedError:
        raise
    except Exception as problem:  # noqa: BLE001 - whatever the library says of bytes
        raise RefusedError(f"it is no MessagePack: {str(problem) or type(problem).__name__}") from None
    found = Found()
    for value in values:
        _sort(value if isinstance(value, list) else [value], found)
    return found


def _unpacked(packed: bytes) -> list[Any]:
    """Return all values of packed bytes.

    Raises:
        ValueError, RefusedError: they are broken, or hold too much.
    """
    # each byte of a small container is one; those of texts are counted too, and then it is looked at closely
    may_hold_many = len(packed) - len(packed.translate(None, _SMALL_CONTAINERS)) > MOST_VALUES
    count = 0

    def counted(value: Any) -> Any:
        nonlocal count
        count += 1
        if count > MOST_VALUES:
            _refuse_many()
        return value

    unpacker = msgpack.Unpacker(
        max_buffer_size=max(1, len(packed)),
        strict_map_key=False,
        unicode_errors="surrogateescape",
        ext_hook=_event_time,
        **({"object_hook": counted, "list_hook": counted} if may_hold_many else {}),
    )
    unpacker.feed(packed)
    values: list[Any] = []
    try:
        while unpacker.tell() < len(packed):
            values.append(unpacker.unpack())
            if len(values) > MOST_VALUES:
                _refuse_many()
    except msgpack.OutOfData:
        raise ValueError("it ends in the middle of a value") from None
    try:
        packed.decode()
    except UnicodeDecodeError:  # it may be numbers, or texts that are not UTF-8
        values = [unescape_values(value) for value in values]
    return values


def _event_time(code: int, data: bytes) -> Any:
    """Return fluentd's EventTime as seconds; other extensions as bytes."""
    if code == 0 and len(data) == _EXTENSION:
        return int.from_bytes(data[:4], "big") + int.from_bytes(data[4:], "big") / _NANOS
    return data


def time_of_parameter(text: bytes | None) -> Time | None:
    """Return what `?time=` says, seconds; None where it says nothing, or 0, which is now."""
    number = _NUMBER.match(text or b"")
    if number is None:
        return None
    try:
        # compat: in_http.rb reads the parameter as a number, whose digits are then taken as they are written
        return _FLOAT.one(float(number[1])) or None
    except ParseError:  # it is without end
        return None


def seconds(value: Any) -> Time:
    """Return a number of seconds as nanoseconds, as Ruby's Time.at reads it.

    Raises:
        ParseError: it is none.
    """
    if type(value) is int and -_MOST_SECONDS < value < _MOST_SECONDS:
        return value * _NANOS
    if type(value) is float:
        try:
            above, below = value.as_integer_ratio()
        except (ValueError, OverflowError):
            raise ParseError(f"{value} is no time") from None
        return above * _NANOS // below
    raise ParseError(f"the time must be a number of seconds, not {type(value).__name__}: {str(value)[:60]!r}")


def timed(found: Found, key: str | None, now: Time, timer: Timer, *, keep: bool) -> list[Time]:
    """Return the time of each record, by its field; a record whose field is no time is told to be bad, and taken out.

    Args:
        found: the records; the field is taken out of them.
        key: the field's name.
        now: for records without one.
        timer: reads the field.
        keep: whether it stays in the record.
    """
    records = found.records
    if key is None:
        return [now if time is None else time for time in found.times] or [now] * len(records)
    values: list[Any]
    if keep:
        values = [record.get(key) for record in records]
    elif found.times:  # the parser has taken the field of the others already
        both = zip(records, found.times, strict=True)
        values = [record.pop(key, None) if time is None else None for record, time in both]
    else:
        values = list(map(dict.pop, records, repeat(key), repeat(None)))
    kinds = set(map(type, values))
    if (
        kinds == {int}
        and timer is seconds
        and not found.times
        and -_MOST_SECONDS < min(values) <= max(values) < _MOST_SECONDS
    ):
        return [value * _NANOS for value in values]
    given: list[Time | None] = found.times or [None] * len(records)
    if kinds <= {type(None)}:
        return [now if time is None else time for time in given]
    times: list[Time] = []
    kept: list[Record] = []
    for record, value, known in zip(records, values, given, strict=True):
        time = known
        if time is None:
            try:
                # compat: in_http.rb takes false for a missing time, as null
                time = now if value is None or value is False else timer(value)
            except (ParseError, OverflowError) as problem:
                found.is_bad({**record, key: value}, str(problem))
                continue
        times.append(time)
        kept.append(record)
    found.records = kept
    return times
