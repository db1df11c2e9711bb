"""Time, DateTime and Date as values of an expression."""

from __future__ import annotations

import re
import time
from calendar import monthrange
from datetime import UTC, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from logpipe.expression.runtime.failures import RubyError
from logpipe.time_format import compile_formatter, find_zone, fixed_zone
from logpipe.time_format.directives import MONTHS
from logpipe.time_format.zones import days_since_epoch, since_epoch, wall_clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from logpipe.time_format.zones import Wall

NANOS: Final = 1_000_000_000
_MAX_PATTERN: Final = 1000
_WIDE: Final = re.compile(r"%[-0^#_]*[1-9]\d{3}")


class RubyTime:
    """A point in time, in a zone: None is the machine's own, UTC is Ruby's `utc`, others are fixed offsets."""

    __slots__ = ("nanos", "zone")

    ruby_class = "Time"

    def __init__(self, nanos: int, zone: tzinfo | None = None) -> None:
        self.nanos = nanos
        self.zone = zone

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RubyTime) and self.nanos == other.nanos

    def __lt__(self, other: RubyTime) -> bool:
        return self.nanos < other.nanos

    def __hash__(self) -> int:
        return hash(self.nanos)

    @property
    def wall(self) -> Wall:
        """Its wall clock time."""
        return wall_clock(self.nanos // NANOS, self.zone)

    def at(self, nanos: int) -> RubyTime:
        """Return another point in time of the same kind and zone."""
        return type(self)(nanos, self.zone)

    def format(self, pattern: str) -> str:
        """Write it as `strftime` does.

        Raises:
            RubyError: the pattern is too long, or pads by thousands.
        """
        if "%Q" in pattern and type(self) is RubyTime:  # only a DateTime has it
            pattern = re.sub("%%|%Q", lambda found: "%%Q" if found[0] == "%Q" else found[0], pattern)
        return formatter(pattern, self.zone)(self.nanos)

    def to_text(self) -> str:
        """`2016-06-15 14:13:20 +0000`, in UTC `2016-06-15 14:13:20 UTC`."""
        return self.format("%Y-%m-%d %H:%M:%S UTC" if self.zone is UTC else "%Y-%m-%d %H:%M:%S %z")

    def inspect_text(self) -> str:
        """Like `to_text`, with the fraction of the second where there is one."""
        fraction = f".{self.nanos % NANOS:09d}".rstrip("0") if self.nanos % NANOS else ""
        head, _, zone = self.to_text().rpartition(" ")
        return f"{head}{fraction} {zone}"

    def iso8601(self, digits: int = 0) -> str:
        """Write it as `2016-06-15T14:13:20Z`, with so many digits of the second's fraction."""
        fraction = f".%{digits}N" if digits else ""
        return self.format(f"%Y-%m-%dT%H:%M:%S{fraction}{'Z' if self.zone is UTC else '%:z'}")


class RubyDate(RubyTime):
    """A DateTime, or a Date at midnight; both have a fixed offset."""

    __slots__ = ("ruby_class",)

    def __init__(self, nanos: int, zone: tzinfo | None = None, ruby_class: str = "DateTime") -> None:
        if zone is None:
            zone = fixed_zone(wall_clock(nanos // NANOS, None).offset)
        super().__init__(nanos, zone)
        self.ruby_class = ruby_class

    def at(self, nanos: int) -> RubyDate:
        """Return another point in time of the same kind and zone."""
        return RubyDate(nanos, self.zone, self.ruby_class)

    def months_later(self, months: int) -> RubyDate:
        """Return the same day so many months later, or the month's last where it has fewer."""
        wall = self.wall.moment
        year, month = divmod((wall.year + self.wall.years) * 12 + wall.month - 1 + months, 12)
        # the calendar repeats every 400 years, and Python's begins with year 1
        day = min(wall.day, monthrange(2000 + year % 400, month + 1)[1])
        parts = [year, month + 1, day, wall.hour, wall.minute, wall.second]
        return self.at(from_parts(parts, self.zone) + self.nanos % NANOS)

    def to_text(self) -> str:
        """`2016-06-15T14:13:20+00:00`, for a Date `2016-06-15`."""
        return self.format("%Y-%m-%d" if self.ruby_class == "Date" else "%Y-%m-%dT%H:%M:%S%:z")

    def inspect_text(self) -> str:
        """Return the beginning of Ruby's `#<DateTime: …>`, without the internal numbers."""
        return f"#<{self.ruby_class}: {self.to_text()}>"

    def iso8601(self, digits: int = 0) -> str:
        """Write it as `2016-06-15T14:13:20+00:00`; a Date as `2016-06-15`."""
        if self.ruby_class == "Date":
            return self.to_text()
        fraction = f".%{digits}N" if digits else ""
        return self.format(f"%Y-%m-%dT%H:%M:%S{fraction}%:z")


def formatter(pattern: str, zone: tzinfo | None) -> Callable[[int], str]:
    """Return the compiled writer of a pattern.

    Raises:
        RubyError: the pattern is too long, or pads by thousands.
    """
    return _formatter(pattern, zone, time.tzname if zone is None else None)


@lru_cache(maxsize=256)
def _formatter(pattern: str, zone: tzinfo | None, _local: tuple[str, str] | None) -> Callable[[int], str]:
    if len(pattern) > _MAX_PATTERN or _WIDE.search(pattern):
        raise RubyError("ArgumentError", f"result of strftime is too long: {pattern[:40]}")
    return compile_formatter(pattern, zone=zone)


def zone_of(value: Any) -> tzinfo | None:
    """Return the zone of an argument such as "+09:00", "UTC", "Z" or 32400.

    Raises:
        RubyError: there is no such zone (ArgumentError).
    """
    if value is None:
        return None
    if isinstance(value, int):
        return fixed_zone(value)
    if value in ("UTC", "Z", "-00:00"):
        return UTC
    try:
        return find_zone(str(value))
    except ValueError:
        raise RubyError(
            "ArgumentError", f'"+HH:MM", "-HH:MM", "UTC" or "A".."I","K".."Z" expected for utc_offset: {value}'
        ) from None


def from_parts(parts: list[Any], zone: tzinfo | None) -> int:
    """Return the nanoseconds since the epoch of year, month, day, hour, minute and second in `zone`.

    Raises:
        RubyError: there is no such time (ArgumentError).
    """
    year, month, day, hour, minute, second = [*parts, *[None] * 6][:6]
    try:
        days = days_since_epoch(_whole(year), _month(month), _whole(day, 1))
        nanos = round((second or 0) * NANOS)
        whole = days * 86_400 + _whole(hour) * 3600 + _whole(minute) * 60 + nanos // NANOS
        return since_epoch(whole, zone) * NANOS + nanos % NANOS
    except (ValueError, OverflowError, TypeError):
        raise RubyError("ArgumentError", "argument out of range") from None


def _whole(value: Any, default: int = 0) -> int:
    return default if value is None else int(value)


def _month(value: Any) -> int:
    if isinstance(value, str) and value[:1].isalpha():
        return 1 + [month[:3].lower() for month in MONTHS].index(value.lower())
    return _whole(value, 1)
