"""Messages of maps in MessagePack, which are no lines of a file. Settings and rules: fluentd's parser_msgpack.rb."""

from __future__ import annotations

from itertools import chain
from typing import Any, Final

import msgpack

from logpipe import Parsed, ParseError, Record, Time
from logpipe.builtin.parsers.splitting import MsgpackSplitter
from logpipe.codec import FieldParser, ParseOptions, Splitter, readable, text_or_bytes, unescape_values
from logpipe.ruby import to_s

_EVENT_TIME: Final = 0
"""The number of fluentd's own type, a time with nanoseconds."""
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


class MsgpackOptions(ParseOptions):
    """Settings of `<parse> @type msgpack`."""


class MsgpackParser(FieldParser[MsgpackOptions], type="msgpack"):
    """Reads messages of whole values, one behind the other: a map is an event, and an array of maps as many events.

    A newline may be part of a value, so lines of a file cannot be read with it: it is for what comes in messages, as
    from sockets. Unlike in fluentd, what a message breaks off is not joined to the next one, which may be somebody
    else's: such a message is refused as a whole.
    """

    def splitter(self) -> Splitter:
        """Return what cuts a stream where a value ends."""
        return MsgpackSplitter()

    def parse(self, line: str) -> list[tuple[Time | None, Record]]:
        """Return the events of one message, whose bytes are escaped as `surrogateescape` does it.

        Raises:
            ParseError: it is not in MessagePack, or broken off, or no event's time can be read.
        """
        try:
            data = line.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise ParseError("invalid MessagePack: it is text") from None
        events: list[tuple[Time | None, Record]] = []
        problem: ParseError | None = None
        for record in _records(data):
            try:
                events.append(self.event(record))
            except ParseError as error:
                problem = problem or error
        if problem is not None and not events:
            raise problem
        return events

    def parse_lines(self, lines: list[bytes], now: Time) -> Parsed:
        """Return the events of many messages."""
        records: list[Record] = []
        numbers: list[int] = []
        unmatched: list[int] = []
        errors: dict[int, ParseError] = {}
        for number, data in enumerate(lines):
            try:
                found = _records(data)
            except ParseError as error:
                errors[number] = error
                found = []
            if not found:
                unmatched.append(number)
            records += found
            numbers += [number] * len(found)
        return self.parsed(records, now, numbers=numbers, unmatched=unmatched, errors=errors)


def _records(data: bytes) -> list[Record]:
    """Return the maps of a message.

    Raises:
        ParseError: it is not in MessagePack, or broken off.
    """
    try:
        try:
            values = _values(data, "strict")
        except UnicodeDecodeError:
            values = [unescape_values(value) for value in _values(data, "surrogateescape")]
        members = chain.from_iterable(value if isinstance(value, list) else (value,) for value in values)
        return [_record(member) for member in members if isinstance(member, dict)]
    except (ValueError, msgpack.UnpackException, TypeError, RecursionError) as problem:
        raise ParseError(f"invalid MessagePack: {str(problem) or type(problem).__name__}") from None


def _values(data: bytes, unicode_errors: str) -> list[Any]:
    # nothing can have more members than the message has bytes: what claims so would only fill the memory
    unpacker = msgpack.Unpacker(
        max_buffer_size=max(len(data), 1),
        strict_map_key=False,
        unicode_errors=unicode_errors,
        ext_hook=_extension,
        timestamp=1,
    )
    unpacker.feed(data)
    values: list[Any] = []
    end = 0
    for value in unpacker:
        values.append(value)
        end = unpacker.tell()
    if end < len(data):
        raise ValueError("the message ends within a value")
    return values


def _extension(code: int, data: bytes) -> int:
    """Return fluentd's time as whole seconds, which is how it writes them in records."""
    if code != _EVENT_TIME or len(data) != 8:
        raise ValueError(f"a value is of the unknown type {code}")
    return int.from_bytes(data[:4], "big")


def _record(value: dict[Any, Any]) -> Record:
    """Return a map as a record: names are text, and what is binary is text where it is UTF-8."""
    if {str}.issuperset(map(type, value)) and _PLAIN.issuperset(map(type, value.values())):
        return value
    return {_name(key): _member(member) for key, member in value.items()}


def _member(value: Any) -> Any:
    if isinstance(value, bytes):
        return text_or_bytes(value)
    if isinstance(value, dict):
        return {_name(key): _member(member) for key, member in value.items()}
    return list(map(_member, value)) if isinstance(value, list) else value


def _name(key: Any) -> str:
    text: str = readable(key if isinstance(key, (str, bytes)) else to_s(key))
    return text
