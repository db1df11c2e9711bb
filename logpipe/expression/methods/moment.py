"""Time, DateTime and Date."""

from __future__ import annotations

import re
import time as clock
from collections.abc import Callable
from datetime import UTC, tzinfo
from typing import Any, Final

from logpipe.errors import ParseError
from logpipe.expression.methods.declaration import Methods
from logpipe.expression.runtime.arithmetic import integer_argument, minus, plus, string_argument
from logpipe.expression.runtime.comparison import is_number
from logpipe.expression.runtime.failures import RubyError
from logpipe.expression.runtime.text import class_name, inspect
from logpipe.expression.runtime.times import NANOS, RubyDate, RubyTime, from_parts, zone_of
from logpipe.expression.runtime.values import Symbol
from logpipe.time_format import Moment, compile_moment_parser, fixed_zone

methods = Methods()

_MOMENTS: Final = (RubyTime, RubyDate)
_UTC_NAME: Final = re.compile(r"(?:\bUTC|Z|-00:?00)\s*$", re.IGNORECASE)
_UNITS: Final = {"millisecond": 1_000_000, "usec": 1000, "microsecond": 1000, "nsec": 1, "nanosecond": 1}

methods.of(*_MOMENTS, names="+")(plus)
methods.of(*_MOMENTS, names="-")(minus)


def _options(args: tuple[Any, ...]) -> tuple[list[Any], dict[str, Any]]:
    """Split trailing `in: "+09:00"` from the other arguments."""
    if args and isinstance(args[-1], dict):
        return list(args[:-1]), {key.name: value for key, value in args[-1].items() if isinstance(key, Symbol)}
    return list(args), {}


@methods.function("Time", names="now", returns=RubyTime)
def now(options: Any = None) -> RubyTime:
    """Return the current time."""
    _, named = _options((options,) if options else ())
    return RubyTime(clock.time_ns(), zone_of(named.get("in")))


@methods.function("Time", names="at", returns=RubyTime)
def at(seconds: Any, *rest: Any) -> RubyTime:
    """Return the time so many seconds after the epoch, and so many microseconds or other units."""
    args, named = _options(rest)
    zone = zone_of(named.get("in"))
    if isinstance(seconds, RubyTime):
        return RubyTime(seconds.nanos, seconds.zone if zone is None else zone)
    if not is_number(seconds):
        shown = "nil" if seconds is None else class_name(seconds)
        raise RubyError("TypeError", f"can't convert {shown} into an exact number")
    nanos = seconds * NANOS if type(seconds) is int else int(seconds * NANOS)
    if args:
        unit = args[1].name if len(args) > 1 and isinstance(args[1], Symbol) else "usec"
        nanos += round(args[0] * _UNITS.get(unit, 1000))
    return RubyTime(nanos, zone)


@methods.function("Time", names="new local mktime", returns=RubyTime)
def new_time(*args: Any) -> RubyTime:
    """Return a time of its parts, in the local zone unless the seventh or `in:` names another; without any, now."""
    parts, named = _options(args)
    zone = zone_of(parts[6] if len(parts) > 6 else named.get("in"))
    if not parts:
        return RubyTime(clock.time_ns(), zone)
    if len(parts) == 1 and isinstance(parts[0], str) and len(parts[0]) > 4:
        return parse(parts[0])
    return RubyTime(from_parts(parts, zone), zone)


@methods.function("Time", names="utc gm", returns=RubyTime)
def new_utc(*parts: Any) -> RubyTime:
    """Return a time of its parts, in UTC."""
    return RubyTime(from_parts(list(parts), UTC), UTC)


def _read(read: Callable[[], Moment], text: Any) -> Moment:
    try:
        return read()
    except (ParseError, ValueError, OverflowError):
        raise RubyError("ArgumentError", f"no time information in {inspect(text)}") from None


def _parsed(text: str, zone: tzinfo | None) -> Moment:
    from logpipe.time_format.freeform import parse_moment  # noqa: PLC0415 - its expressions take a while to compile

    return parse_moment(text, zone=zone, clock=clock.time)


def _zone(text: str, moment: Moment) -> tzinfo | None:
    if moment.offset is None:
        return None
    return UTC if moment.offset == 0 and _UTC_NAME.search(text) else fixed_zone(moment.offset)


@methods.function("Time", names="parse iso8601 xmlschema rfc2822 httpdate", returns=RubyTime)
def parse(value: Any, _now: Any = None) -> RubyTime:
    """Return the time that a text describes.

    Raises:
        RubyError: it describes none (ArgumentError), or is no text (TypeError).
    """
    text = string_argument(value)
    moment = _read(lambda: _parsed(text, None), text)
    return RubyTime(moment.time, _zone(text, moment))


@methods.function("Time", names="strptime", returns=RubyTime)
def strptime(value: Any, pattern: Any, _now: Any = None) -> RubyTime:
    """Return the time that a text gives in a format.

    Raises:
        RubyError: the text is in another format (ArgumentError).
    """
    text = string_argument(value)
    moment = _strptime(text, string_argument(pattern), None)
    return RubyTime(moment.time, _zone(text, moment))


def _strptime(text: str, pattern: str, zone: tzinfo | None) -> Moment:
    read = _moment_parser(pattern, zone)
    return _read(lambda: read(text), text)


_PARSERS: dict[tuple[str, tzinfo | None], Callable[[Any], Moment]] = {}


def _moment_parser(pattern: str, zone: tzinfo | None) -> Callable[[Any], Moment]:
    found = _PARSERS.get((pattern, zone))
    if found is None:
        if len(_PARSERS) > 256:
            _PARSERS.clear()
        found = compile_moment_parser(pattern, zone=zone, clock=clock.time)
        _PARSERS[pattern, zone] = found
    return found


def _date_of(moment: Moment, ruby_class: str) -> RubyDate:
    zone = fixed_zone(moment.offset or 0)
    if ruby_class == "Date":
        nanos = moment.time + (moment.offset or 0) * NANOS
        return RubyDate(nanos - nanos % (86_400 * NANOS), fixed_zone(0), "Date")
    return RubyDate(moment.time, zone)


def _name_dates(ruby_class: str) -> None:
    """Register the functions common to DateTime and Date."""

    def parse_date(value: Any = "-4712-01-01", *_rest: Any) -> RubyDate:
        text = string_argument(value)
        try:
            return _date_of(_parsed(text, UTC), ruby_class)
        except (ParseError, ValueError, OverflowError):
            raise RubyError("Date::Error", "invalid date") from None

    def strptime_date(value: Any, pattern: Any = "%FT%T%z") -> RubyDate:
        try:
            return _date_of(_strptime(string_argument(value), string_argument(pattern), UTC), ruby_class)
        except RubyError:
            raise RubyError("Date::Error", "invalid date") from None

    def today(*_rest: Any) -> RubyDate:
        return to_date(RubyTime(clock.time_ns())) if ruby_class == "Date" else RubyDate(clock.time_ns())

    def new_date(*parts: Any) -> RubyDate:
        zone = zone_of(parts[6]) if len(parts) > 6 else fixed_zone(0)
        return RubyDate(from_parts(list(parts), zone), zone, ruby_class)

    for names, implementation in (
        ("parse iso8601 rfc3339 rfc2822 httpdate xmlschema", parse_date),
        ("strptime", strptime_date),
        ("now today", today),
        ("new civil", new_date),
    ):
        methods.function(ruby_class, names=names, returns=RubyDate)(implementation)


_name_dates("DateTime")
_name_dates("Date")


@methods.of(*_MOMENTS, names="to_f to_r", returns=float)
def to_f(moment: RubyTime) -> float:
    """Return the seconds since the epoch."""
    return float(moment.nanos) / NANOS  # compat: time.c rounds twice


@methods.of(*_MOMENTS, names="subsec sec_fraction", returns=float)
def fraction(moment: RubyTime) -> float:
    """Return the fraction of the second."""
    return moment.nanos % NANOS / NANOS


_PARTS: Final[dict[str, Callable[[RubyTime], int]]] = {
    "to_i tv_sec": lambda moment: moment.nanos // NANOS,
    "usec tv_usec": lambda moment: moment.nanos % NANOS // 1000,
    "nsec tv_nsec": lambda moment: moment.nanos % NANOS,
    "year": lambda moment: moment.wall.moment.year + moment.wall.years,
    "month mon": lambda moment: moment.wall.moment.month,
    "day mday": lambda moment: moment.wall.moment.day,
    "hour": lambda moment: moment.wall.moment.hour,
    "min minute": lambda moment: moment.wall.moment.minute,
    "sec second": lambda moment: moment.wall.moment.second,
    "wday": lambda moment: moment.wall.moment.isoweekday() % 7,
    "yday": lambda moment: moment.wall.moment.timetuple().tm_yday,
    "cwday": lambda moment: moment.wall.moment.isoweekday(),
    "cweek": lambda moment: moment.wall.moment.isocalendar().week,
    "utc_offset gmt_offset gmtoff": lambda moment: moment.wall.offset,
}
_FORMS: Final[dict[str, Callable[[RubyTime], str]]] = {
    "rfc2822 rfc822": lambda moment: moment.format(
        "%a, %d %b %Y %H:%M:%S " + ("-0000" if moment.zone is UTC else "%z")
    ),
    "httpdate": lambda moment: RubyTime(moment.nanos, UTC).format("%a, %d %b %Y %H:%M:%S GMT"),
    "ctime asctime": lambda moment: moment.format("%a %b %e %H:%M:%S %Y"),
}


def _is_day(number: int) -> Callable[[RubyTime], bool]:
    return lambda moment: moment.wall.moment.isoweekday() % 7 == number


_DAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
methods.each_of(*_MOMENTS, named=_PARTS, returns=int)
methods.each_of(*_MOMENTS, named=_FORMS, returns=str)
methods.each_of(*_MOMENTS, named={f"{day}?": _is_day(number) for number, day in enumerate(_DAYS)}, returns=bool)


@methods.of(*_MOMENTS, names="zone")
def zone_name(moment: RubyTime) -> str | None:
    """Return the zone's abbreviation; nil for a Time with only an offset, the offset for a DateTime."""
    if isinstance(moment, RubyDate):
        return moment.format("%:z")
    return moment.wall.name or None


@methods.of(RubyTime, names="utc gmtime getutc getgm", returns=RubyTime)
def to_utc(moment: RubyTime) -> RubyTime:
    """Return the same moment in UTC."""
    return RubyTime(moment.nanos, UTC)


@methods.of(RubyTime, names="localtime getlocal", returns=RubyTime)
def to_local(moment: RubyTime, offset: Any = None) -> RubyTime:
    """Return the same moment in the local zone or at an offset."""
    return RubyTime(moment.nanos, zone_of(offset))


@methods.of(RubyTime, names="dst? isdst", returns=bool)
def is_summer(moment: RubyTime) -> bool:
    """Return whether it is summer time in the zone; a fixed offset has none."""
    if moment.zone is not None:
        return False
    return clock.localtime(moment.nanos // NANOS).tm_isdst > 0


@methods.of(*_MOMENTS, names="utc? gmt?", returns=bool)
def is_utc(moment: RubyTime) -> bool:
    """Return whether the moment is in UTC."""
    return moment.zone is UTC


@methods.of(RubyDate, names="new_offset", returns=RubyDate)
def new_offset(moment: RubyDate, offset: Any = 0) -> RubyDate:
    """Return the same moment at another offset."""
    return RubyDate(moment.nanos, fixed_zone(0) if offset == 0 else zone_of(offset))


@methods.of(*_MOMENTS, names="strftime", returns=str)
def strftime(moment: RubyTime, pattern: Any) -> str:
    """Return the moment in a format."""
    return moment.format(string_argument(pattern))


@methods.of(*_MOMENTS, names="iso8601 xmlschema rfc3339 jisx0301", returns=str)
def iso8601(moment: RubyTime, digits: Any = 0) -> str:
    """Return the moment in ISO 8601, with so many digits of the second's fraction."""
    return moment.iso8601(min(integer_argument(digits), 100))


@methods.of(*_MOMENTS, names="to_time", returns=RubyTime)
def to_time(moment: RubyTime) -> RubyTime:
    """Return the moment as a Time; a Date's is midnight here."""
    if not isinstance(moment, RubyDate):
        return moment
    if moment.ruby_class == "Date":
        wall = moment.wall.moment
        return RubyTime(from_parts([moment.wall.moment.year + moment.wall.years, wall.month, wall.day], None))
    return RubyTime(moment.nanos, moment.zone)


@methods.of(*_MOMENTS, names="to_datetime", returns=RubyDate)
def to_datetime(moment: RubyTime) -> RubyDate:
    """Return the moment as a DateTime."""
    return RubyDate(moment.nanos, fixed_zone(moment.wall.offset))


@methods.of(*_MOMENTS, names="to_date", returns=RubyDate)
def to_date(moment: RubyTime) -> RubyDate:
    """Return the day."""
    local = moment.nanos + moment.wall.offset * NANOS
    return RubyDate(local - local % (86_400 * NANOS), fixed_zone(0), "Date")


def _rounding(name: str, shift: Callable[[int], int]) -> None:
    def change(moment: RubyTime, digits: Any = 0) -> RubyTime:
        unit = 10 ** (9 - max(0, min(9, integer_argument(digits))))
        return moment.at((moment.nanos + shift(unit)) // unit * unit)

    methods.of(*_MOMENTS, names=name, returns=RubyTime)(change)


_rounding("round", lambda unit: unit // 2)
_rounding("floor", lambda _: 0)
_rounding("ceil", lambda unit: unit - 1)


@methods.of(*_MOMENTS, names="to_a", returns=list)
def to_a(moment: RubyTime) -> list[Any]:
    """Return second, minute, hour, day, month, year, weekday, day of the year, daylight saving and zone."""
    wall = moment.wall.moment
    day = wall.timetuple().tm_yday
    return [
        wall.second,
        wall.minute,
        wall.hour,
        wall.day,
        wall.month,
        wall.year,
        wall.isoweekday() % 7,
        day,
        False,
        zone_name(moment),
    ]


def _later(names: str, days: int) -> None:
    def move(moment: RubyDate, count: Any = 1) -> RubyDate:
        return moment.at(moment.nanos + days * integer_argument(count) * 86_400 * NANOS)

    methods.of(RubyDate, names=names, returns=RubyDate)(move)


_later("next_day next succ", 1)
_later("prev_day", -1)
