"""Fluentd's `time_type`: times as text of a format, as numbers of seconds, or as one of several.

Behaviour: TimeParser, NumericTimeParser, MixedTimeParser and their formatters in fluentd's time.rb.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Any, Final, Literal, TypeAlias

from logpipe.errors import ParseError
from logpipe.time_format.moment import nanos_of
from logpipe.time_format.parsing import TimeParser, compile_free_parser, compile_time_parser, one_by_one
from logpipe.time_format.strftime import compile_formatter

TimeType: TypeAlias = Literal["string", "unixtime", "float", "mixed"]

_NANOS: Final = 1_000_000_000
_MOST_SECONDS: Final = 10**30
_LEADING: Final = re.compile(r"\s*([-+]?\d+(?:_\d+)*)", re.ASCII)


def compile_typed_parser(
    time_type: TimeType,
    pattern: str | None,
    *,
    fallbacks: Sequence[str] = (),
    zone: tzinfo | None = None,
    clock: Callable[[], float] = time.time,
) -> TimeParser:
    """Return the parser of a `time_type` with its `time_format` and `time_format_fallbacks`.

    string without a format is read as by Ruby's Time.parse; mixed tries the format and then each fallback, where
    `unixtime` and `float` are numbers.
    """
    if time_type in {"unixtime", "float"}:
        one = parse_unixtime if time_type == "unixtime" else parse_float
        return TimeParser(one, one_by_one(one))
    if time_type == "mixed":
        return _mixed([*([pattern] if pattern else []), *fallbacks], zone, clock)
    if pattern is None:
        return compile_free_parser(zone=zone, clock=clock)
    return compile_time_parser(pattern, zone=zone, clock=clock)


def compile_typed_formatter(
    time_type: TimeType, pattern: str | None, *, zone: tzinfo | None = None
) -> Callable[[int], str]:
    """Return the function that formats a time by its `time_type`: `pattern`, whole seconds or nine digits."""
    if time_type == "string":
        return compile_formatter(pattern, zone=zone)
    if time_type == "unixtime":
        return lambda nanos: str(nanos // _NANOS)
    return lambda nanos: f"{nanos // _NANOS}.{nanos % _NANOS:09d}"


def parse_unixtime(value: Any) -> int:
    """Return a number of seconds, or a text that begins with one, as nanoseconds; fractions are dropped.

    Raises:
        ParseError: it is neither a number nor a text, or the number is not finite.
    """
    if type(value) is int:
        return seconds_of(value) * _NANOS
    if isinstance(value, str):
        return _leading_integer(value) * _NANOS
    if type(value) is float:
        return seconds_of(int(_finite(value))) * _NANOS
    raise ParseError(f"value must be a string or a number: {value}")


def parse_float(value: Any) -> int:
    """Return a number of seconds with a fraction, or a text that begins with one, as nanoseconds.

    Digits count as they are written: `1466000000.123456789` loses none.

    Raises:
        ParseError: it is neither a number nor a text, or the number is not finite.
    """
    if type(value) is int:
        return seconds_of(value) * _NANOS
    if isinstance(value, str):
        seconds, _, fraction = value.partition(".")
        # compat: time.rb takes `2016-06-15T11:39:30.5Z` for 2016.5 and `garbage` for 0, as Ruby's to_i does
        return _leading_integer(seconds) * _NANOS + _leading_integer(fraction.partition(".")[0][:9].ljust(9, "0"))
    if type(value) is not float:
        raise ParseError(f"value must be a string or a number: {value}")
    # compat: time.rb reads a number's text, so that 0.1 is exactly a tenth
    digits = repr(_finite(value))
    if "e" in digits:
        seconds_of(int(value))
        return int(value * _NANOS)
    whole, _, fraction = digits.partition(".")
    return int(whole) * _NANOS + nanos_of(fraction)


def _leading_integer(text: str) -> int:
    found = _LEADING.match(text)
    if found is None:
        return 0
    try:
        return seconds_of(int(found[1]))
    except ValueError:
        raise ParseError(f"invalid time: {found[1][:20]}… has too many digits") from None


def seconds_of(number: int) -> int:
    """Return a number of seconds since the epoch, read from a line, if it is plausible.

    Raises:
        ParseError: it has more than thirty digits.
    """
    if not -_MOST_SECONDS <= number <= _MOST_SECONDS:
        raise ParseError("invalid time: no number of seconds has so many digits")
    return number


def _finite(value: float) -> float:
    if value - value != 0:  # not so for infinities and nan
        raise ParseError(f"invalid time: {value} is no number of seconds")
    return value


def _mixed(patterns: Sequence[str], zone: tzinfo | None, clock: Callable[[], float]) -> TimeParser:
    readers: list[Callable[[Any], int]] = []
    for pattern in patterns:
        if pattern in {"unixtime", "float"}:
            readers.append(_if_number(parse_unixtime if pattern == "unixtime" else parse_float))
        else:
            readers.append(compile_time_parser(pattern, zone=zone, clock=clock).one)

    def one(value: Any) -> int:
        for read in readers:
            try:
                return read(value)
            except ParseError:
                continue
        raise ParseError(f'invalid time format: "{value}" is in none of the formats {", ".join(patterns)}')

    return TimeParser(one, one_by_one(one))


def _if_number(read: Callable[[Any], int]) -> Callable[[Any], int]:
    def read_number(value: Any) -> int:
        try:
            float(value)
        except (TypeError, ValueError):
            raise ParseError(f"not a number: {value}") from None
        return read(value)

    return read_number
