"""Reads times by a format, as Ruby's Time.strptime and the strptime library, which fluentd prefers, both do.

A format becomes one regular expression. The two differ in small ways; what either accepts is accepted. Text after the
end of the format is ignored, as by both.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, tzinfo
from typing import Any, Final

from logpipe.errors import ParseError
from logpipe.time_format.directives import COMPOSITES, MONTHS, WEEKDAYS, Directive, Token, split
from logpipe.time_format.moment import Moment, Parts, date_of_week, known_offset, month_number, nanos_of, zone_offset

_MONTH_NAMES: Final = "|".join([*MONTHS, *(name[:3] for name in MONTHS)])
_WEEKDAY_NAMES: Final = "|".join([*WEEKDAYS, *(name[:3] for name in WEEKDAYS)])
_ZONE: Final = (
    r"(?:gmt|utc?)?[-+]\d++(?:[,.:]\d++(?::\d++)?)?|\d\d:?\d\d"
    r"|[a-z][a-z.\s]*(?:standard|daylight)\s+time\b|[a-z]++(?:\sdst\b)?"
)

# possessive quantifiers, since neither of the two backtracks
_PATTERNS: Final = {
    **dict.fromkeys("YG", r"[-+]?\d{1,4}+"),
    "C": r"[-+]?\d{1,2}+",
    **dict.fromkeys("ymMSVUW", r"\d{1,2}+"),
    **dict.fromkeys("dHI", r"(?:\ \d|\d{1,2}+)"),
    "j": r"\d{1,3}+",
    "N": r"\d++",
    "u": r"[1-7]",
    "w": r"[0-6]",
    **dict.fromkeys("sQ", r"-?\d++"),
    "p": r"(?i:[ap]\.?m\b\.?)",
    "B": f"(?i:{_MONTH_NAMES})",
    "A": f"(?i:{_WEEKDAY_NAMES})",
    **dict.fromkeys("zZ", f"(?i:{_ZONE})"),
}
_SAME: Final = {"b": "B", "h": "B", "e": "d", "k": "H", "l": "I", "P": "p", "L": "N", "a": "A"}
_COMPOSITES: Final = {
    **COMPOSITES,
    "+": "%a %b %e %H:%M:%S %Z %Y",
    "n": " ",
    "t": " ",
    "%": "%",
}
_KNOWN: Final = frozenset({*_PATTERNS, *_SAME, *_COMPOSITES})
_NUMERIC: Final = frozenset(_KNOWN - {*"BbhAapPzZ", *_COMPOSITES})

ISO8601: Final = "%iso8601"
"""Fluentd's name for the strict ISO 8601 of Ruby's Time.iso8601."""
_ISO8601: Final = re.compile(
    r"\s*([-+]?\d{4,})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|[-+]\d\d(?::?\d\d)?)?|(Z|[-+]\d\d(?::?\d\d)?)?)\s*",
    re.ASCII | re.IGNORECASE,
)


def tokens_of(pattern: str) -> list[Token]:
    """Return a format's tokens, with composites such as `%F` expanded."""
    tokens: list[Token] = []
    for token in split(pattern, _KNOWN):
        if isinstance(token, Directive) and token.letter in _COMPOSITES:
            written_out = _COMPOSITES[token.letter]
            tokens += [written_out] if token.letter in "nt%" else tokens_of(written_out)
        elif isinstance(token, Directive):
            # L and N differ only in the number of digits they take where digits follow
            width = token.width or (3 if token.letter == "L" else None)
            tokens.append(Directive(_SAME.get(token.letter, token.letter), width=width))
        else:
            tokens.append(token)
    return tokens


def needs_today(pattern: str) -> bool:
    """Return whether a format has no year, which then comes from the clock."""
    letters = {token.letter for token in tokens_of(pattern) if isinstance(token, Directive)}
    return pattern != ISO8601 and not letters & {*"YyCsQG"}


def compile_moment_parser(pattern: str, *, zone: tzinfo | None, clock: Callable[[], float]) -> Callable[[Any], Moment]:
    """Return the function that reads a text by `pattern`, in `zone` unless the text names its own.

    The function raises ParseError. It takes a few microseconds; `compile_time_parser` adds a cache.
    """
    if pattern == ISO8601:
        return lambda text: _read_iso8601(text, zone, clock)
    tokens = tokens_of(pattern)
    match = re.compile(_expression(tokens), re.ASCII).match
    letters = [token.letter for token in tokens if isinstance(token, Directive)]

    def read(text: Any) -> Moment:
        if not isinstance(text, str):
            raise ParseError(f"value must be string: {text}")
        found = match(text)
        if found is None:
            raise ParseError(f'invalid time format: "{text}" does not match "{pattern}"')
        try:
            return _parts(letters, found.groups()).moment(zone, clock)
        except (ParseError, ValueError) as problem:
            raise ParseError(f'invalid time format: "{text}": {problem}') from None

    return read


def _expression(tokens: list[Token]) -> str:
    source = ""
    for number, token in enumerate(tokens):
        if isinstance(token, str):
            source += "".join(r"\s*+" if part.isspace() else re.escape(part) for part in re.split(r"(\s+)", token))
            continue
        following = tokens[number + 1] if number + 1 < len(tokens) else ""
        source += f"({_fraction(token, following) if token.letter == 'N' else _PATTERNS[token.letter]})"
    return source


def _fraction(token: Directive, following: Token) -> str:
    runs_on = following.letter in _NUMERIC if isinstance(following, Directive) else following[:1].isdigit()
    return rf"\d{{1,{token.width or 9}}}+" if runs_on else r"\d++"


def _parts(letters: list[str], texts: tuple[str, ...]) -> Parts:
    """Return the parts of a time from the text matched by each directive."""
    read = dict(zip(letters, (text.strip() for text in texts), strict=False))
    numbers = {letter: int(text) for letter, text in read.items() if letter in _NUMERIC}
    _check(numbers)
    parts = Parts(
        year=_year(numbers),
        month=month_number(read["B"]) if "B" in read else numbers.get("m"),
        day=numbers.get("d"),
        yday=numbers.get("j"),
        hour=_hour(numbers, read.get("p", "")),
        minute=numbers.get("M"),
        second=numbers.get("S"),
        nanos=nanos_of(read.get("N")),
        offset=_offset(read),
        epoch=numbers.get("s"),
    )
    if "Q" in numbers:
        parts.epoch, milliseconds = divmod(numbers["Q"], 1000)
        parts.nanos = milliseconds * 1_000_000
    if {"G", "V", "U", "W"} & read.keys() and (parts.month is None or parts.day is None):
        _take_week(parts, numbers, read.get("A", ""))
    return parts


def _offset(read: dict[str, str]) -> int | None:
    if "z" in read:
        return known_offset(read["z"])
    # compat: Ruby's Time.strptime, which reads %Z in fluentd, uses the machine's zone for an unknown name
    return zone_offset(read["Z"]) if "Z" in read else None


_RANGES: Final = {"m": (1, 12), "d": (1, 31), "j": (1, 366), "H": (0, 24), "I": (1, 12), "M": (0, 59), "S": (0, 60)}


def _check(numbers: dict[str, int]) -> None:
    for letter, (least, most) in _RANGES.items():
        if letter in numbers and not least <= numbers[letter] <= most:
            raise ParseError(f"%{letter} is {numbers[letter]}, which is not from {least} to {most}")


def _year(numbers: dict[str, int]) -> int | None:
    if "Y" in numbers:
        return numbers["Y"]
    if "C" in numbers:
        return numbers["C"] * 100 + numbers.get("y", 0)
    if "y" in numbers:
        return numbers["y"] + (2000 if numbers["y"] < 69 else 1900)
    return None


def _hour(numbers: dict[str, int], half: str) -> int | None:
    hour = numbers.get("H", numbers.get("I"))
    if hour is None or not half:
        return hour
    return hour % 12 + (12 if half[0] in "pP" else 0)


def _take_week(parts: Parts, numbers: dict[str, int], weekday_name: str) -> None:
    """Set the date from the number of its week."""
    weekday = numbers.get("w", numbers.get("u", 1) % 7)
    for number, name in enumerate(WEEKDAYS):
        if weekday_name and name[:3].lower() == weekday_name[:3].lower():
            weekday = number
    if "G" in numbers or "V" in numbers:
        day = date.fromisocalendar(numbers.get("G", parts.year or 1), numbers.get("V", 1), weekday or 7)
        parts.year, parts.month, parts.day = day.year, day.month, day.day
    elif parts.year is not None:
        first = 0 if "U" in numbers else 1
        week = numbers.get("U", numbers.get("W", 1))
        parts.year, parts.month, parts.day = date_of_week(parts.year, week, weekday, first=first)


def _read_iso8601(text: Any, zone: tzinfo | None, clock: Callable[[], float]) -> Moment:
    if not isinstance(text, str):
        raise ParseError(f"value must be string: {text}")
    found = _ISO8601.fullmatch(text)
    if found is None:
        raise ParseError(f'invalid time format: "{text}" is not an ISO 8601 date and time')
    year, month, day, hour, minute, second = (None if group is None else int(group) for group in found.groups()[:6])
    zone_text = found[8] or found[9]
    offset = zone_offset(zone_text) if zone_text else None
    return Parts(year, month, day, hour, minute, second, nanos_of(found[7]), offset=offset).moment(zone, clock)
