"""Times of documents: read from fields, written as `@timestamp`, and as dates in names of indexes."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any, Final, NamedTuple

from logpipe import PermanentError, Time
from logpipe.codec import compile_formatter, compile_typed_parser

_OFFSET: Final = re.compile(r"([-+])(\d\d):?(\d\d)\s*$", re.ASCII)


_WIDE: Final = re.compile(r"%[-0^#_:EO]*\d{3}")
_LONGEST: Final = 255


def checked_pattern(text: str) -> str:
    """Return a pattern for dates that an event has a part in.

    Raises:
        PermanentError: it makes a text that is far longer than itself, `%999999999d`, or is too long itself.
    """
    if len(text) > _LONGEST or _WIDE.search(text) is not None:
        raise PermanentError(f"this is no pattern for the date in an index's name: {text[:100]!r}")
    return text


class Moment(NamedTuple):
    """A time, and the zone that it is written in."""

    time: Time
    zone: tzinfo | None
    """None for the machine's own."""


class Clockwork:
    """Reads and writes the times of one output.

    Args:
        time_key_format: how fields with times are written; None for any that Ruby's DateTime.parse reads.
        precision: digits of the fraction of `@timestamp`.
    """

    def __init__(self, time_key_format: str | None, precision: int) -> None:
        # DateTime.parse takes a time without a zone for UTC, where Time.parse takes the machine's
        self._read = compile_typed_parser("string", time_key_format, zone=UTC).one
        self._number = compile_typed_parser("float", None).one
        self._format = time_key_format
        fraction = f".%{precision}N" if precision else ""
        self._pattern = f"%Y-%m-%dT%H:%M:%S{fraction}%:z"
        self._local = compile_formatter(self._pattern)

    def moment(self, value: Any) -> Moment:
        """Return the time that a field holds.

        Raises:
            ParseError: none can be read.
        """
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            time = self._number(value)
            return Moment(time if self._format is None else self._read(_formatter(self._format, None)(time)), None)
        time = self._read(value)
        found = _OFFSET.search(value) if isinstance(value, str) else None
        if found is None:
            return Moment(time, UTC)
        minutes = 60 * int(found[2]) + int(found[3])
        minutes = -minutes if found[1] == "-" else minutes
        return Moment(time, timezone(timedelta(minutes=minutes)) if abs(minutes) < 24 * 60 else UTC)

    def timestamp(self, moment: Moment) -> str:
        """Return it as `@timestamp`, ISO 8601."""
        if moment.zone is None:
            return self._local(moment.time)
        return _formatter(self._pattern, moment.zone)(moment.time)

    def date(self, moment: Moment, pattern: str, *, utc: bool) -> str:
        """Return it as it stands in an index's name."""
        return _formatter(pattern, UTC if utc else moment.zone)(moment.time)


@lru_cache(64)
def _formatter(pattern: str, zone: tzinfo | None) -> Callable[[int], str]:
    return compile_formatter(pattern, zone=zone)
