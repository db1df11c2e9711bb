"""The common part of parsers that find fields in a line: time and types of the fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from logpipe.errors import ParseError
from logpipe.event import Record, Time
from logpipe.parse.options import ParseOptions
from logpipe.plugin import Host, Parsed, ParsedLines, Parser
from logpipe.time_format import compile_typed_parser

P = TypeVar("P", bound=ParseOptions)

_NANOS: Final = 1_000_000_000


class _Missing:
    """The type of the marker for a field that a record does not have."""


_MISSING: Final = _Missing()


class FieldParser(Parser[P]):
    """Takes the time from records and converts their fields, by the common settings of `<parse>`.

    A parser that derives from it makes a record of texts for each line, and has `event` or `parsed` do the rest.
    """

    def __init__(self, options: P, host: Host) -> None:
        super().__init__(options, host)
        self._time = compile_typed_parser(
            options.effective_time_type,
            options.time_format,
            fallbacks=options.time_format_fallbacks,
            zone=options.zone,
            clock=lambda: host.clock.now() / _NANOS,
        )
        self._key = options.time_key
        self._take = _kept if options.keep_time_key else _taken
        self._estimates = options.estimate_current_event
        self._convert = _conversion(options)

    def event(self, record: Record) -> tuple[Time | None, Record]:
        """Return the time and the rest of a record, converted.

        Raises:
            ParseError: its time is in another format.
        """
        (value,) = self._take([record], self._key) if self._key is not None else (_MISSING,)
        time: Time | None = None
        if value is not _MISSING:
            time = self._time.one(value)
        elif self._estimates:
            time = self.host.clock.now()
        if self._convert is not None:
            self._convert(record)
        return time, record

    def parsed(
        self,
        records: list[Record],
        now: Time,
        *,
        numbers: Sequence[int],
        unmatched: list[int],
        errors: Mapping[int, ParseError] | None = None,
    ) -> Parsed:
        """Return the events of many records; those whose time is in another format are unmatched.

        Args:
            records: what was made of the lines; their fields are converted in place.
            now: the time of those without one.
            numbers: the line number of each record.
            unmatched: the numbers of the lines already found to be unmatched.
            errors: what is wrong with some of these.
        """
        parsed = self._timed(records, now, numbers, unmatched, errors or {})
        if self._convert is not None:
            for record in parsed.records:
                self._convert(record)
        return parsed

    def _timed(
        self,
        records: list[Record],
        now: Time,
        numbers: Sequence[int],
        unmatched: list[int],
        errors: Mapping[int, ParseError],
    ) -> Parsed:
        if self._key is None:
            return ParsedLines([now] * len(records), records, unmatched, numbers, errors)
        values = self._take(records, self._key)
        try:
            return ParsedLines(self._time.many(values), records, unmatched, numbers, errors)
        except ParseError:
            pass
        times: list[Time] = []
        kept: list[Record] = []
        kept_numbers: list[int] = []
        bad: dict[int, ParseError] = {}
        read = self._time.one
        for record, value, number in zip(records, values, numbers, strict=True):
            # some have no time, or one in another format
            try:
                times.append(now if value is _MISSING else read(value))
            except ParseError as error:
                bad[number] = error
                continue
            kept.append(record)
            kept_numbers.append(number)
        return ParsedLines(times, kept, sorted(bad.keys() | unmatched), kept_numbers, {**errors, **bad})


def _conversion(options: ParseOptions) -> Callable[[Record], None] | None:
    """Return what converts a record's fields in place; None where there is nothing to convert."""
    if not options.types and options.null_value_pattern is None and not options.null_empty_string:
        return None
    from logpipe.parse.types import compile_fields  # noqa: PLC0415 - needs parts of the expressions

    return compile_fields(options.types, options.null_value_pattern, null_empty=options.null_empty_string)


def _taken(records: list[Record], key: str) -> list[Any]:
    return [record.pop(key, _MISSING) for record in records]


def _kept(records: list[Record], key: str) -> list[Any]:
    return [record.get(key, _MISSING) for record in records]
