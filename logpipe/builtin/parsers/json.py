"""Lines that are JSON objects: docker's json-file logs, and most structured logs. Settings: plugin/parser_json.rb."""

from __future__ import annotations

import json
import os
import re
from itertools import chain
from typing import Any, Final, Literal

import orjson

from logpipe import Parsed, ParseError, Record, Time, param
from logpipe.builtin.parsers.splitting import JsonSplitter
from logpipe.codec import FieldParser, ParseOptions, Splitter, TimeType, escaped, unescape_values

_ZEROS: Final = bytes.maketrans(b"123456789", b"000000000")
_LONG: Final = b"0" * 19
_HUGE: Final = b"0" * 20
_HUGE_NEGATIVE: Final = b"-" + b"0" * 19
_STEP: Final = 6
_HEAD: Final = 4096
_SOME: Final = b"0" * (len(_LONG) // _STEP)
_NESTING: Final = frozenset({float, dict, list})
"""Types of values that may be, or contain, an integer too large for orjson, which reads it as a float."""

_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u([dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""An escape in JSON; a lone surrogate is the group."""

_TOGETHER: Final = 256
"""Lines that are read as one array: one that is no JSON has so many read twice."""
_NUMBER_BETWEEN: Final = int.from_bytes(os.urandom(7), "big")
_BETWEEN: Final = b",%d," % _NUMBER_BETWEEN

NOT_JSON: Final = object()
"""What is read of a line that is no JSON."""


class JsonOptions(ParseOptions):
    """Settings of `<parse> @type json`."""

    time_key: str | None = param("Field that holds the event's time; it is taken out of the record.", default="time")
    json_parser: Literal["oj", "yajl", "json"] = param(
        "Accepted for compatibility: there is one JSON parser here.", default="oj"
    )
    stream_buffer_size: int = param("Accepted for compatibility: lines come whole.", default=8192)

    @property
    def effective_time_type(self) -> TimeType:
        """The `time_type` in force."""
        # compat: parser_json.rb reads the time as a number unless there is a format
        return self.time_type or ("float" if self.time_format is None else "string")


class JsonParser(FieldParser[JsonOptions], type="json"):
    """Reads one object a line, or an array of objects, which are as many events.

    orjson is tried first; lines that it refuses (control characters in texts, bytes that are not UTF-8, lone
    surrogates, NaN) or would change (integers over 64 bits) are read by Python's own parser. A text with bytes that are
    not UTF-8 is kept as bytes; in names they become U+FFFD.
    """

    def splitter(self) -> Splitter:
        """Return what cuts a stream where a value ends, which may have several lines, or share one with others."""
        return JsonSplitter()

    def parse(self, line: str) -> list[tuple[Time | None, Record]]:
        """Return the events of one line.

        Raises:
            ParseError: the time of each of them is in another format.
        """
        events: list[tuple[Time | None, Record]] = []
        problem: ParseError | None = None
        raw = [_bytes_of(line)]
        values = _read_all(raw)
        _restore_huge_numbers(values, raw)
        value = values[0]
        for record in value if isinstance(value, list) else [value]:
            if isinstance(record, dict):
                try:
                    events.append(self.event(record))
                except ParseError as error:
                    problem = problem or error
        if problem is not None and not events:
            raise problem
        return events

    def parse_value(self, value: Any) -> list[tuple[Time | None, Record]]:
        """Return nothing: what is no text is no JSON."""
        del value
        return []

    def parse_lines(self, lines: list[bytes], now: Time) -> Parsed:
        """Return the events of many lines."""
        values = _read_all(lines)
        try:
            if _types_within(values) & _NESTING:
                _restore_huge_numbers(values, lines)
        except TypeError:  # some are not objects
            _restore_huge_numbers(values, lines)
            records, numbers, unmatched = _objects_among(values)
            return self.parsed(records, now, numbers=numbers, unmatched=unmatched)
        return self.parsed(values, now, numbers=range(len(lines)), unmatched=[])


def _types_within(values: list[Any]) -> set[type]:
    """Return the types of the values of many objects; TypeError if one is no object."""
    return set(map(type, chain.from_iterable(map(dict.values, values))))


def _objects_among(values: list[Any]) -> tuple[list[Record], list[int], list[int]]:
    """Return the objects, also from arrays, the line number of each, and the lines with anything else."""
    records = list(values)
    numbers = list(range(len(values)))
    unmatched: list[int] = []
    odd = [number for number, value in enumerate(values) if type(value) is not dict]
    for number in reversed(odd):
        found = values[number] if isinstance(values[number], list) else [values[number]]
        objects = [value for value in found if isinstance(value, dict)]
        records[number : number + 1] = objects
        numbers[number : number + 1] = [number] * len(objects)
        if len(objects) < len(found):
            unmatched.append(number)
    return records, numbers, unmatched[::-1]


def read_json(lines: list[bytes], text: bytes) -> list[Any]:
    """Return the value of each line of a text as the parser reads it, `NOT_JSON` where it has none."""
    values = _read_all(lines)
    if _may_hold_huge(text):
        _restore_huge_numbers(values, lines)
    return values


def read_lines(text: bytes) -> list[Any]:
    """Return the values of a text's lines; nothing where some have none, or would not be read as they are."""
    if _may_hold_huge(text):
        return []
    together = text.replace(b"\n", _BETWEEN)
    count = (len(together) - len(text)) // (len(_BETWEEN) - 1) + 1
    if not text.endswith(b"\n"):
        return _read_together(together, count)
    return _read_together(together + b"0", count)[:-1]


def _read_all(lines: list[bytes]) -> list[Any]:
    """Return the value of each line, `NOT_JSON` where it has none."""
    if len(lines) == 1:
        return _read_each(lines)
    values: list[Any] = []
    for start in range(0, len(lines), _TOGETHER):
        some = lines[start : start + _TOGETHER]
        values += _read_together(_BETWEEN.join(some), len(some)) or _read_each(some)
    return values


def _read_together(text: bytes, count: int) -> list[Any]:
    """Return the values of lines, read as one array, which takes a sixth less; nothing where some have none.

    Between two of the `count` lines stands `_BETWEEN`, a number that nobody knows. If it is every other item, no line
    has opened what a later one closes, nor is more than one value.
    """
    try:
        values = orjson.loads(b"[%b]" % text)
    except ValueError:
        return []
    if len(values) != 2 * count - 1 or values[1::2].count(_NUMBER_BETWEEN) != count - 1:
        return []
    del values[1::2]
    return values  # type: ignore[no-any-return]


def _read_each(lines: list[bytes]) -> list[Any]:
    values: list[Any] = []
    rest = iter(lines)
    while True:
        try:
            values.extend(map(orjson.loads, rest))
        except ValueError:
            # the lines before the bad one were read, so the bad one is next
            values.append(_read_slowly(lines[len(values)]))
        else:
            return values


def _bytes_of(line: str) -> bytes:
    try:
        return line.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return line.encode("utf-8", "replace")


def _read_slowly(line: bytes) -> Any:
    """Return a line's value by Python's parser, which is more lenient and exact; `NOT_JSON` where it has none."""
    try:
        try:
            return json.loads(line.decode(), strict=False)
        except UnicodeDecodeError:
            return unescape_values(json.loads(_ESCAPE.sub(_surrogate_as_bytes, escaped(line)), strict=False))
    except (ValueError, RecursionError):
        return NOT_JSON


def _surrogate_as_bytes(found: re.Match[str]) -> str:
    """Return a lone surrogate as the bytes that Ruby makes of it, to distinguish it from escaped bytes of the line."""
    return escaped(chr(int(found[1], 16)).encode("utf-8", "surrogatepass")) if found[1] else found[0]


def _restore_huge_numbers(values: list[Any], lines: list[bytes]) -> None:
    """Read lines again that have numbers with more digits than 64 bits hold, which orjson read as floats."""
    if not _may_hold_huge(b"\n".join(lines)):
        return
    for number, line in enumerate(lines):
        if _may_hold_huge(line):
            values[number] = _read_slowly(line)


def _may_hold_huge(text: bytes) -> bool:
    # every sixth byte first: of so many digits three are among them; where other numbers are long too, it says nothing
    if _SOME not in text[:_HEAD:_STEP].translate(_ZEROS) and _SOME not in text[::_STEP].translate(_ZEROS):
        return False
    digits = text.translate(_ZEROS)
    return _LONG in digits and (_HUGE in digits or _HUGE_NEGATIVE in digits)
