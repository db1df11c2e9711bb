"""A point in time read from a text, and its computation from the parts of a date."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo
from typing import Final, NamedTuple

from logpipe.errors import ParseError
from logpipe.time_format.directives import MONTHS
from logpipe.time_format.zones import days_since_epoch, fixed_zone, since_epoch, wall_clock

_NANOS: Final = 1_000_000_000
_MOST_SECONDS: Final = 10**30
_OFFSET: Final = re.compile(r"(?:utc?|gmt)?([-+]?)(\d\d?)(?::?(\d\d)(?::?(\d\d))?)?", re.ASCII | re.IGNORECASE)
_NAMED_OFFSETS: Final = {
    **{letter: hours for hours, letter in enumerate("abcdefghiklm", start=1)},
    **{letter: -hours for hours, letter in enumerate("nopqrstuvwxy", start=1)},
    **dict.fromkeys(("utc", "ut", "gmt", "z"), 0),
    "est": -5,
    "edt": -4,
    "cst": -6,
    "cdt": -5,
    "mst": -7,
    "mdt": -6,
    "pst": -8,
    "pdt": -7,
}


class Moment(NamedTuple):
    """A point in time and the offset that its text gave."""

    time: int
    """Nanoseconds since the epoch."""
    offset: int | None
    """Seconds east of UTC as in the text; None where it has no offset."""


@dataclass(slots=True)
class Parts:
    """The parts of a time, each None where the text did not give it."""

    year: int | None = None
    month: int | None = None
    day: int | None = None
    hour: int | None = None
    minute: int | None = None
    second: int | None = None
    nanos: int = 0
    yday: int | None = None
    epoch: int | None = None
    offset: int | None = None

    def moment(self, zone: tzinfo | None, clock: Callable[[], float]) -> Moment:
        """Return the point in time of these parts, in `zone` unless they have an offset.

        Parts larger than the largest given one come from `clock`, smaller ones have their least value: `%b %d` is
        midnight of a day of this year.

        Raises:
            ParseError: there are none, or they contradict each other.
        """
        if self.epoch is not None:
            if not -_MOST_SECONDS <= self.epoch <= _MOST_SECONDS:
                raise ParseError("no such time: no number of seconds has so many digits")
            return Moment(self.epoch * _NANOS + self.nanos, self.offset)
        try:
            if self.offset is not None:
                zone = fixed_zone(self.offset)
            days, seconds = self._day(zone, clock), self._seconds()
            return Moment(since_epoch(days * 86_400 + seconds, zone) * _NANOS + self.nanos, self.offset)
        except (ValueError, OverflowError, OSError) as problem:
            raise ParseError(f"no such time: {problem}") from None

    def _seconds(self) -> int:
        hour, minute, second = self.hour or 0, self.minute or 0, self.second or 0
        if hour > 24 or minute > 59 or second > 60 or (hour == 24 and minute + second > 0):
            raise ParseError(f"no such time of day: {hour}:{minute:02d}:{second:02d}")
        return hour * 3600 + minute * 60 + second

    def _day(self, zone: tzinfo | None, clock: Callable[[], float]) -> int:
        given = [self.year, self.yday or self.month, self.day, self.hour, self.minute, self.second]
        largest = next((rank for rank, part in enumerate(given) if part is not None), None)
        if largest is None:
            raise ParseError("no time information")
        year, month, day = self.year, self.month or 1, 1 if self.day is None else self.day
        if largest > 0:
            today = wall_clock(int(clock()), zone)
            year = today.moment.year
            month = today.moment.month if largest > 1 else month
            day = today.moment.day if largest > 2 else day
            self.hour = today.moment.hour if largest > 3 else self.hour
            self.minute = today.moment.minute if largest > 4 else self.minute
        assert year is not None  # noqa: S101 - either given or today's
        if self.yday is not None:
            return days_since_epoch(year, 1, self.yday)
        if not 1 <= day <= 31:
            raise ParseError(f"no such day: {day}")
        return days_since_epoch(year, month, day)


def nanos_of(digits: str | None) -> int:
    """Return the nanoseconds of a fraction's digits, of which the first nine count."""
    return int((digits or "0")[:9].ljust(9, "0"))


def month_number(name: str) -> int:
    """Return the number of the month whose name begins like `name`, three letters at least."""
    return next(number for number, month in enumerate(MONTHS, start=1) if month[:3].lower() == name[:3].lower())


def zone_offset(text: str) -> int | None:
    """Return the offset, in seconds east of UTC, of `+09:00`, `Z`, `EST` …; None for a name unknown to Ruby.

    Times with an unknown name are in the local zone, as with Ruby's Time.zone_offset.
    """
    if text.lower() in _NAMED_OFFSETS:
        return _NAMED_OFFSETS[text.lower()] * 3600
    found = _OFFSET.fullmatch(text)
    if found is None:
        return None
    seconds = int(found[2]) * 3600 + int(found[3] or 0) * 60 + int(found[4] or 0)
    return -seconds if found[1] == "-" else seconds


def known_offset(text: str) -> int:
    """Return the offset of a zone as `zone_offset` does, and of the names of the machine's own zone.

    Raises:
        ParseError: the name is unknown.
    """
    offset = zone_offset(text)
    if offset is not None:
        return offset
    for name, west in zip(time.tzname, (time.timezone, time.altzone), strict=True):
        if text.lower() == name.lower():
            return -west
    raise ParseError(f"no zone is known by the name {text}")


def date_of_week(year: int, week: int, weekday: int, *, first: int) -> tuple[int, int, int]:
    """Return year, month and day of a weekday (0 is Sunday) in a week as `%U` (`first` 0) or `%W` (1) count them."""
    start = date(year, 1, 1)
    to_first = (first - start.isoweekday()) % 7
    day = start + timedelta(days=to_first + 7 * (week - 1) + (weekday - first) % 7)
    return day.year, day.month, day.day
