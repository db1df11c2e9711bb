"""Converts the texts of a record by `types` and `null_…` of a `<parse>` section: plugin/parser.rb.

It is imported where a section has any: with it come parts of the expressions, for what is no text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Any, Final, TypeAlias

from logpipe.config.values import convert_float, convert_integer
from logpipe.errors import ParseError
from logpipe.event import Record
from logpipe.expression.runtime.text import to_s
from logpipe.expression.time_limit import TimeLimitExceeded, limited_search
from logpipe.parse.splitting import split_text
from logpipe.raw_text import escaped, unescaped
from logpipe.time_format import TimeType, compile_typed_parser, find_zone

_NANOS: Final = 1_000_000_000
_TRUTHS: Final = frozenset({"true", "yes", "1"})
_TIME_TYPES: Final[Mapping[str, TimeType]] = {"unixtime": "unixtime", "float": "float", "string": "string"}

_OFFSET: Final = re.compile(r"([+-]\d\d:\d\d):(.*)", re.DOTALL)

Convert: TypeAlias = Callable[[Any], Any]


def compile_types(types: Mapping[str, str | None]) -> dict[str, Convert]:
    """Return the conversion of each field; it is never called with None or False.

    Raises:
        ValueError: a type is unknown, or its option is invalid.
    """
    return {field: _conversion(field, definition) for field, definition in types.items()}


def compile_fields(
    types: Mapping[str, str], null_pattern: re.Pattern[str] | None, *, null_empty: bool
) -> Callable[[Record], None] | None:
    """Return the function that converts a record's fields in place; None where there is nothing to convert."""
    conversions = compile_types(types)
    if null_pattern is None and not null_empty:
        return _typed(conversions) if conversions else None
    matches = _in_time(null_pattern) if null_pattern is not None else lambda _: None

    def convert(record: Record) -> None:
        for field, value in record.items():
            text = escaped(value) if type(value) is bytes else value
            if isinstance(text, str) and ((null_empty and not text) or matches(text)):
                record[field] = None
            elif field in conversions and value is not None and value is not False:
                record[field] = conversions[field](value)

    return convert


def _in_time(pattern: re.Pattern[str]) -> Callable[[str], re.Match[str] | None]:
    """Return a pattern's search, for which a text that takes too long does not match."""
    search = limited_search(pattern)

    def matches(text: str) -> re.Match[str] | None:
        try:
            return search(text)
        except TimeLimitExceeded:
            return None

    return matches


def _typed(conversions: dict[str, Convert]) -> Callable[[Record], None]:
    items = tuple(conversions.items())

    def convert(record: Record) -> None:
        for field, conversion in items:
            value = record.get(field)
            # compat: plugin/parser.rb does not convert nil and false
            if value is not None and value is not False:
                record[field] = conversion(value)

    return convert


def _conversion(field: str, definition: str | None) -> Convert:
    kind, colon, option = (definition or "").partition(":")
    match kind:
        case "string":
            return lambda value: value if type(value) is bytes else to_s(value)
        case "integer":
            return _to_integer
        case "float":
            return _to_float
        case "bool":
            return lambda value: to_s(value).lower() in _TRUTHS
        case "time":
            return _time(option)
        case "array":
            return _array(option if colon else ",")
    known = "string, integer, float, bool, time, array"
    raise ValueError(f'unknown value conversion for key "{field}", type "{kind}": write one of {known}')


def _to_integer(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return int(value)
        except (ValueError, OverflowError):
            return 0
    return _number(convert_integer, value)


def _to_float(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return _number(convert_float, value)


def _number(convert: Callable[[str], Any], value: Any) -> Any:
    try:
        return convert(to_s(value))
    except ValueError:  # more digits than Python's limit
        return None


def _time(option: str) -> Convert:
    """Return the conversion to whole seconds, which is how fluentd's outputs write an event time in a record.

    `option` is `[zone:]format`; a format `unixtime` or `float` is a kind of number.
    """
    zone, pattern = _zone_and_format(option)
    time_type = _TIME_TYPES.get(pattern or "", "string")
    read = compile_typed_parser(time_type, None if pattern in _TIME_TYPES else pattern, zone=zone).one

    def convert(value: Any) -> int | None:
        try:
            return read(value) // _NANOS
        except ParseError:
            return None

    return convert


def _zone_and_format(option: str) -> tuple[tzinfo | None, str | None]:
    offset = _OFFSET.match(option)
    zone_text, _, rest = (offset[1], "", offset[2]) if offset else option.partition(":")
    try:
        return find_zone(zone_text), rest or None
    except ValueError:
        return None, option or None


def _array(delimiter: str) -> Convert:
    def convert(value: Any) -> list[str | bytes]:
        text = to_s(value)
        # compat: Ruby's split drops empty parts at the end; without a delimiter, as in `types a:array: ,b:…` where
        # lists lose blanks, it splits the text into characters
        parts = list(text) if not delimiter else split_text(text, delimiter)
        while parts and not parts[-1]:
            parts.pop()
        return list(map(unescaped, parts)) if type(value) is bytes else [*parts]

    return convert
