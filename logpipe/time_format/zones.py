"""Time zones: parsing their names, and conversion to and from wall clock time.

A zone is a `tzinfo`, or None for the machine's own, which the environment variable TZ may set.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Final, NamedTuple

_NUMERIC: Final = re.compile(r"([+-])(\d\d)(?::?(\d\d))?", re.ASCII)
_NAME: Final = re.compile(r"[^/]+/[^/]+(?:/[^/]+)?")
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - the zero of wall clocks, in no zone
_CYCLE: Final = 146_097 * 86_400
"""Seconds after which the calendar repeats: 400 years."""
_FIRST_DATE: Final = -62_167_219_200
_LAST_DATE: Final = 253_402_300_799
_FIRST: Final = -62_135_510_400
_LAST: Final = 253_402_214_400
"""The range that `datetime` can represent in any zone: the years 1 to 9999, less a day at both ends."""


class Wall(NamedTuple):
    """Wall clock time at one second."""

    moment: datetime
    """Date and time of day, without a zone; its year is off by `years`."""
    years: int
    """A multiple of 400 to add to the year, for times outside the range of `datetime`."""
    offset: int
    """Seconds east of UTC."""
    name: str
    """`UTC`, the local zone's abbreviation, or empty: as in Ruby, times of other zones have only an offset."""
    second: int
    """Seconds since the epoch."""


def find_zone(text: str) -> tzinfo:
    """Return the zone that `text` names: `+09:00`, `+0900`, `+09` or `Asia/Tokyo`.

    Raises:
        ValueError: there is no such zone; abbreviations such as JST are refused, as in fluentd's timezone.rb.
    """
    if numeric := _NUMERIC.fullmatch(text):
        sign = -1 if numeric[1] == "-" else 1
        return fixed_zone(sign * (int(numeric[2]) * 3600 + int(numeric[3] or 0) * 60))
    if _NAME.fullmatch(text):
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - most configurations name no zone

        try:
            return ZoneInfo(text)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise ValueError(f'unsupported timezone "{text}": write an offset like +09:00 or a name like Asia/Tokyo')


def fixed_zone(offset: int) -> tzinfo:
    """Return the zone that is always `offset` seconds east of UTC; with 0 it is still not UTC, and shows `+00:00`.

    Raises:
        ValueError: it is a day or more.
    """
    return timezone(timedelta(seconds=offset), "")


def wall_clock(second: int, zone: tzinfo | None) -> Wall:
    """Return the wall clock time in `zone`, `second` seconds after the epoch."""
    cycles = 0 if _FIRST < second < _LAST else (second - _FIRST) // _CYCLE
    shown = second - cycles * _CYCLE
    if zone is None:
        local = time.localtime(shown)
        return Wall(datetime(*local[:6]), 400 * cycles, local.tm_gmtoff, local.tm_zone, second)  # noqa: DTZ001 - see Wall
    moment = datetime.fromtimestamp(shown, zone)
    offset = moment.utcoffset() or timedelta(0)
    name = "UTC" if zone is UTC else ""
    return Wall(moment.replace(tzinfo=None), 400 * cycles, int(offset.total_seconds()), name, second)


def utc_offset(second: int, zone: tzinfo | None) -> int:
    """Return the offset of `zone` from UTC in seconds, east positive, `second` seconds after the epoch."""
    return 0 if zone is UTC else wall_clock(second, zone).offset


def has_date(second: int) -> bool:
    """Return whether a point in time, seconds since the epoch, has a date: the years 0 to 9999 in UTC."""
    return _FIRST_DATE <= second <= _LAST_DATE


def since_epoch(wall: int, zone: tzinfo | None) -> int:
    """Return the seconds since the epoch of the wall clock time `wall`, seconds since 1970-01-01 00:00, in `zone`.

    Of an ambiguous time the first is taken; a skipped time is moved forward by the size of the gap.

    Raises:
        OverflowError, ValueError: it is out of range.
    """
    if zone is UTC:
        return wall
    return int((_EPOCH + timedelta(seconds=wall)).replace(tzinfo=zone).timestamp())


def days_since_epoch(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01 to a date; days past the month's end count into the next, as in Ruby.

    Raises:
        ValueError: the year or the month is out of range.
    """
    return date(year, month, 1).toordinal() + day - 1 - 719_163
