"""Date and DateTime: months, years and days."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from typing import Any, Final

from logpipe.expression.methods.declaration import Methods
from logpipe.expression.runtime.arithmetic import integer_argument
from logpipe.expression.runtime.times import NANOS, RubyDate

methods = Methods()


def _months_later(months: int) -> Callable[..., RubyDate]:
    return lambda moment, count=1: moment.months_later(months * integer_argument(count))


_MOVES: Final = {
    "next_month": _months_later(1),
    "prev_month": _months_later(-1),
    "next_year": _months_later(12),
    "prev_year": _months_later(-12),
}
methods.each_of(RubyDate, named=_MOVES, returns=RubyDate)


@methods.of(RubyDate, names="leap?", returns=bool)
def is_leap(moment: RubyDate) -> bool:
    """Return whether the year has 366 days."""
    return calendar.isleap(moment.wall.moment.year + moment.wall.years)


@methods.of(RubyDate, names="cwyear", returns=int)
def week_year(moment: RubyDate) -> int:
    """Return the year that the calendar week belongs to."""
    return moment.wall.moment.isocalendar().year + moment.wall.years


@methods.of(RubyDate, names="jd", returns=int)
def julian_day(moment: RubyDate) -> int:
    """Return the day's number since 4713 before Christ."""
    return (moment.nanos // NANOS + moment.wall.offset) // 86_400 + 2_440_588


@methods.function("Date", "DateTime", names="leap? gregorian_leap?", returns=bool)
def is_leap_year(year: Any) -> bool:
    """Return whether a year has 366 days."""
    return calendar.isleap(integer_argument(year))


@methods.function("Date", "DateTime", names="valid_date? valid_civil?", returns=bool)
def is_valid(year: Any, month: Any = 1, day: Any = 1) -> bool:
    """Return whether there is such a day."""
    if not (type(year) is int and type(month) is int and type(day) is int):
        return False
    month = month + 13 if month < 0 else month
    if not 1 <= month <= 12:
        return False
    last = calendar.monthrange(2000 + year % 400, month)[1]
    return 1 <= (day + last + 1 if day < 0 else day) <= last
