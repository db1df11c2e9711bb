"""Date and DateTime: months, years, and what a day is."""

from __future__ import annotations

import calendar
from typing import Any

from logpipe.expression.arithmetic import integer_argument
from logpipe.expression.methods.declaration import Methods
from logpipe.expression.times import NANOS, RubyDate

methods = Methods()


@methods.of(RubyDate, names="next_month", returns=RubyDate)
def next_month(moment: RubyDate, months: Any = 1) -> RubyDate:
    """Return the day a month later, or several."""
    return moment.months_later(integer_argument(months))


@methods.of(RubyDate, names="prev_month", returns=RubyDate)
def previous_month(moment: RubyDate, months: Any = 1) -> RubyDate:
    """Return the day a month before, or several."""
    return moment.months_later(-integer_argument(months))


@methods.of(RubyDate, names="next_year", returns=RubyDate)
def next_year(moment: RubyDate, years: Any = 1) -> RubyDate:
    """Return the day a year later, or several."""
    return moment.months_later(12 * integer_argument(years))


@methods.of(RubyDate, names="prev_year", returns=RubyDate)
def previous_year(moment: RubyDate, years: Any = 1) -> RubyDate:
    """Return the day a year before, or several."""
    return moment.months_later(-12 * integer_argument(years))


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


@methods.function("Date", names="leap? gregorian_leap?", returns=bool)
@methods.function("DateTime", names="leap? gregorian_leap?", returns=bool)
def is_leap_year(year: Any) -> bool:
    """Return whether a year has 366 days."""
    return calendar.isleap(integer_argument(year))


@methods.function("Date", names="valid_date? valid_civil?", returns=bool)
@methods.function("DateTime", names="valid_date? valid_civil?", returns=bool)
def is_valid(year: Any, month: Any = 1, day: Any = 1) -> bool:
    """Return whether there is such a day."""
    if not (type(year) is int and type(month) is int and type(day) is int):
        return False
    month = month + 13 if month < 0 else month
    if not 1 <= month <= 12:
        return False
    last = calendar.monthrange(2000 + year % 400, month)[1]
    return 1 <= (day + last + 1 if day < 0 else day) <= last
