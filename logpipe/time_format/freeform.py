"""Reads times without a declared format: Ruby's Time.parse, which fluentd uses where there is no `time_format`.

Like Ruby's Date._parse it looks for a time of day anywhere in the text, cuts it out, and then for a date in one of the
usual orders. The order of the attempts is Ruby's (date_parse.c), since it decides what an ambiguous text means.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import tzinfo
from typing import Any, Final

from logpipe.errors import ParseError
from logpipe.time_format.moment import Moment, Parts, month_number, nanos_of, zone_offset

_MONTH: Final = r"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_YEAR: Final = r"(?P<year>'?-?\d+)"
_FLAGS: Final = re.ASCII | re.IGNORECASE

_LONGEST: Final = 128
"""Characters, as in Ruby: the expressions below take time quadratic in the text's length."""
_NOISE: Final = re.compile(r"[^-+',./:@\w\[\]]+")
_WEEKDAY: Final = re.compile(r"\b(?:sun|mon|tue|wed|thu|fri|sat)[^-/\d\s]*", _FLAGS)
_TIME: Final = re.compile(
    r"(?P<hour>\d{1,9})\s*(?:(?::\s*(?P<minute>\d{1,9})(?:\s*:\s*(?P<second>\d{1,9})(?:[,.](?P<fraction>\d*))?)?"
    r"|h(?:\s*(?P<minute_h>\d{1,9})m?(?:\s*(?P<second_h>\d{1,9})s?)?)?)(?:\s*(?P<half>[ap])(?:m\b|\.m\.))?"
    r"|(?P<half_alone>[ap])(?:m\b|\.m\.))"
    r"(?:\s*\[?(?P<zone>(?:gmt|utc?)?[-+]\d+(?:[,.:]\d+(?::\d+)?)?|[a-z]+(?:\sdst)?\b)\]?)?",
    _FLAGS,
)
_DATES: Final = tuple(
    re.compile(source, _FLAGS)
    for source in (
        rf"(?P<day>'?\d+)[^-\d\s]*\s*{_MONTH}[^-\d\s']*(?:\s*{_YEAR}(?:st|nd|rd|th)?\b)?",
        rf"\b{_MONTH}[^-\d\s']*\s*(?P<day>'?\d+)[^-\d\s']*(?:\s*,?\s*{_YEAR})?",
        r"(?P<year>'?[-+]?\d+)-(?P<month_number>\d+)-(?P<day>'?-?\d+)",
        r"\b(?P<japanese>[mtshr])(?P<year>\d+)\.(?P<month_number>\d+)\.(?P<day>\d+)",
        rf"(?P<day>'?-?\d+)-{_MONTH}[^-/.]*-{_YEAR}",
        rf"\b{_MONTH}[^-/.]*-(?P<day>'?\d+)(?:-{_YEAR})?",
        r"(?P<year>'?-?\d+)/\s*(?P<month_number>'?\d+)(?:\D\s*(?P<day>'?-?\d+))?",
        r"(?P<year>'?-?\d+)\.\s*(?P<month_number>'?\d+)\.\s*(?P<day>'?-?\d+)",
        r"\b(?P<year>\d{4})-(?P<yday>\d{3})\b",
        r"'(?P<year>\d+)\b",
        rf"\b{_MONTH}\S*",
        r"\b(?P<day>\d+)(?:st|nd|rd|th)\b",
    )
)
_JAPANESE: Final = {"m": 1867, "t": 1911, "s": 1925, "h": 1988, "r": 2018}
_DIGITS: Final = re.compile(
    r"(?P<digits>\d{2,14})(?:\s*t?\s*(?P<time>\d{2,6})?(?:[,.](?P<fraction>\d*))?)?(?P<zone>z\b|[-+]\d{1,4}\b)?", _FLAGS
)
_DIGIT_LENGTHS: Final = {
    2: ("day",),
    4: ("month", "day"),
    6: ("short_year", "month", "day"),
    8: ("year", "month", "day"),
    10: ("year", "month", "day", "hour"),
    12: ("year", "month", "day", "hour", "minute"),
    14: ("year", "month", "day", "hour", "minute", "second"),
    3: ("yday",),
    5: ("short_year", "yday"),
    7: ("year", "yday"),
}
_SIZES: Final = {"year": 4, "yday": 3}


def parse_moment(text: Any, *, zone: tzinfo | None, clock: Callable[[], float]) -> Moment:
    """Return the time in a text, in `zone` unless the text names its own.

    Missing larger parts come from `clock`: `11:39` is today.

    Raises:
        ParseError: there is no time in it.
    """
    if not isinstance(text, str):
        raise ParseError(f"value must be string: {text}")
    if len(text) > _LONGEST:
        raise ParseError(f'invalid time format: "{text[:20]}…" has more than {_LONGEST} characters')
    try:
        return _parts(text).moment(zone, clock)
    except (ParseError, ValueError) as problem:
        raise ParseError(f'invalid time format: "{text}": {problem}') from None


def _parts(text: str) -> Parts:
    parts = Parts()
    rest = _WEEKDAY.sub(" ", _NOISE.sub(" ", text), count=1)
    found = _TIME.search(rest)
    if found:
        _take_time(parts, found)
        rest = f"{rest[: found.start()]} {rest[found.end() :]}"
    for pattern in _DATES:
        if (date := pattern.search(rest)) and _plausible(date):
            _take_date(parts, date.groupdict())
            return parts
    if digits := _DIGITS.search(rest):
        _take_digits(parts, digits)
    return parts


def _plausible(date: re.Match[str]) -> bool:
    # 2016-167 is a day of a year, not a date
    return "yday" not in date.re.groupindex or not date.string[date.end() :].startswith("-")


def _take_time(parts: Parts, found: re.Match[str]) -> None:
    half = (found["half"] or found["half_alone"] or "").lower()
    hour = int(found["hour"])
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    parts.hour = hour
    parts.minute = _number(found["minute"] or found["minute_h"])
    parts.second = _number(found["second"] or found["second_h"])
    parts.nanos = nanos_of(found["fraction"])
    parts.offset = _offset(found["zone"])


def _take_date(parts: Parts, found: dict[str, str | None]) -> None:
    year, day = found.get("year"), found.get("day")
    month = found.get("month_number") or found.get("month")
    if month and not month[0].isalpha() and day is None and found.get("yday") is None:
        year, month, day = None, year, month  # 6/15 is a month and a day
    if year is None and day is not None and (len(day) > 2 or day[0] == "'"):
        year, day = day, None  # Jun 2016
    if day is not None and year is not None and (len(day) > 2 or day[0] == "'"):
        year, day = day, year  # 15-06-2016
    parts.yday = _number(found.get("yday"))
    if month is not None:
        parts.month = month_number(month) if month[0].isalpha() else int(month.lstrip("'"))
    if day is not None:
        parts.day = int(day.lstrip("'"))
    if era := found.get("japanese"):
        parts.year = _JAPANESE[era.lower()] + int(year or 0)
    elif year is not None:
        parts.year = _full_year(year)


def _full_year(text: str) -> int:
    digits = text.lstrip("'")
    number = int(digits)
    if digits[0] in "-+" or len(digits) > 2:
        return number
    return number + (2000 if number < 69 else 1900)


def _take_digits(parts: Parts, found: re.Match[str]) -> None:
    """Take a date, and perhaps a time, written in digits only: `20160615T113930Z`."""
    digits, time = found["digits"], found["time"] or ""
    if len(digits) not in _DIGIT_LENGTHS:
        raise ParseError("no time information")
    names = _DIGIT_LENGTHS[len(digits)]
    for name in names:
        size = _SIZES.get(name, 2)
        number, digits = int(digits[:size]), digits[size:]
        if name == "short_year":
            parts.year = number + (2000 if number < 69 else 1900)
        else:
            setattr(parts, name, number)
    for name, start in zip(("hour", "minute", "second"), range(0, len(time), 2), strict=False):
        setattr(parts, name, int(time[start : start + 2]))
    if found["fraction"]:
        parts.nanos = nanos_of(found["fraction"])
    if found["zone"]:
        parts.offset = _offset(found["zone"])


def _offset(text: str | None) -> int | None:
    return zone_offset(text) if text else None


def _number(text: str | None) -> int | None:
    return int(text) if text else None
