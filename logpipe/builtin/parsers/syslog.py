"""Lines of syslog, RFC 3164 and RFC 5424. Settings and rules: fluentd's plugin/parser_syslog.rb."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Literal

from logpipe import Host, Parsed, ParseError, Parser, Record, Time, param
from logpipe.builtin.parsers.fixed_fields import FixedFieldsOptions
from logpipe.builtin.parsers.syslog_formats import DETECT_RFC5424, RFC3164_TIME, Cut, rfc3164, rfc5424
from logpipe.codec import ParsedLines, Timed, compile_typed_parser, escaped, unescape_values

_NANOS: Final = 1_000_000_000
_WITHOUT_FRACTION: Final = "%Y-%m-%dT%H:%M:%S%z"


class SyslogOptions(FixedFieldsOptions):
    """Settings of `<parse> @type syslog`."""

    time_format: str | None = param(
        "How the time of RFC 3164 is written, and that of RFC 5424 where `message_format` is `rfc5424`.",
        default=RFC3164_TIME,
    )
    with_priority: bool = param("Lines begin with a priority, `<6>`, which becomes the field `pri`.", default=False)
    message_format: Literal["rfc3164", "rfc5424", "auto"] = param(
        "The format of the lines; `auto` looks at each.", default="rfc3164"
    )
    rfc5424_time_format: str = param(
        "How the time of RFC 5424 is written, unless `time_format` says it.", default="%Y-%m-%dT%H:%M:%S.%L%z"
    )
    parser_engine: Literal["regexp", "string"] = param(
        "Which of fluentd's two parsers to follow, since they differ in what they take.",
        default="regexp",
        alias="parser_type",
    )
    support_colonless_ident: bool = param(
        "Whether a first word without a colon is the `ident`, or part of the message; for the engine `string`.",
        default=True,
    )
    estimate_current_event: bool = param(
        "Accepted for compatibility.", default=True, no_effect="every line has a time, as in fluentd"
    )


class SyslogParser(Parser[SyslogOptions], type="syslog"):
    """Reads what daemons write to syslog: host, ident, pid and message; of RFC 5424 msgid and extradata, too."""

    def __init__(self, options: SyslogOptions, host: Host) -> None:
        super().__init__(options, host)
        self._formats: list[_Format] = []
        time_format = options.time_format or RFC3164_TIME
        engine, priority = options.parser_engine, options.with_priority
        if options.message_format != "rfc5424":
            cut = rfc3164(engine, time_format, priority=priority, colonless=options.support_colonless_ident)
            self._formats.append(_Format(cut, [time_format], options, host))
        if options.message_format != "rfc3164":
            if options.message_format == "auto" or time_format == RFC3164_TIME:
                time_format = options.rfc5424_time_format
            cut = rfc5424(engine, time_format, priority=priority)
            self._formats.append(_Format(cut, [time_format, _WITHOUT_FRACTION], options, host))

    def parse(self, line: str) -> list[tuple[Time | None, Record]]:
        """Return the event of one line.

        Raises:
            ParseError: it has no time, or one in another format.
        """
        return self._formats[_place(line) if len(self._formats) > 1 else 0].one(line)

    def parse_lines(self, lines: list[bytes], now: Time) -> Parsed:
        """Return the events of many lines; each has a time of its own."""
        del now
        is_exact = True
        try:
            texts = [line.decode() for line in lines]
        except UnicodeDecodeError:
            is_exact, texts = False, list(map(escaped, lines))
        if len(self._formats) == 1:
            parsed = self._formats[0].many(texts, range(len(texts)))
        else:
            places = list(map(_place, texts))
            parts = [
                each.many(texts, [number for number, found in enumerate(places) if found == place])
                for place, each in enumerate(self._formats)
                if place in places
            ]
            parsed = parts[0] if len(parts) == 1 else _merged(parts)
        if not is_exact:
            parsed.records[:] = map(unescape_values, parsed.records)
        return parsed


def _place(line: str) -> bool:
    """Return whether a line is of RFC 5424, the second of two formats."""
    return DETECT_RFC5424.match(line) is not None


def _merged(parts: list[ParsedLines]) -> ParsedLines:
    """Return the parts' events in the order of their lines; of no part there are none."""
    rows = sorted((number, part, place) for part, each in enumerate(parts) for place, number in enumerate(each.numbers))
    return ParsedLines(
        [parts[part].times[place] for _, part, place in rows],
        [parts[part].records[place] for _, part, place in rows],
        sorted(number for each in parts for number in each.unmatched),
        [number for number, _, _ in rows],
        {number: error for each in parts for number, error in each.errors.items()},
    )


class _Format:
    """One of the two formats: what cuts a line, and what reads its time by the first of `time_formats` that fits."""

    def __init__(self, cut: Cut, time_formats: Sequence[str], options: SyslogOptions, host: Host) -> None:
        self._cut = Timed(cut, options, host)
        self._readers = [
            compile_typed_parser(
                options.effective_time_type,
                time_format,
                fallbacks=options.time_format_fallbacks,
                zone=options.zone,
                clock=lambda: host.clock.now() / _NANOS,
            )
            for time_format in time_formats
        ]
        self._keeps_time = options.keep_time_key

    def one(self, line: str) -> list[tuple[Time | None, Record]]:
        """Return the event of one line.

        Raises:
            ParseError: it has no time, or one in another format.
        """
        found = self._cut.one(line)
        if found is None:
            return []
        text, record = found
        time = self._time(text)
        return [] if record is None else [(time, self._kept(text, record))]

    def many(self, lines: list[str], numbers: Sequence[int]) -> ParsedLines:
        """Return the events of some of the lines."""
        found = self._cut.many(lines if len(numbers) == len(lines) else [lines[number] for number in numbers])
        if (whole := self._all(found)) is not None:
            return ParsedLines(*whole, [], list(numbers), {})
        cut = [(number, *each) for number, each in zip(numbers, found, strict=True) if each is not None]
        unmatched = [number for number, each in zip(numbers, found, strict=True) if each is None]
        errors: dict[int, ParseError] = {}
        texts = [text for _, text, _ in cut]
        if any(record is None for _, _, record in cut):
            times = self._one_by_one(cut, errors)
        else:
            try:
                times = list(self._readers[0].many(texts))
            except ParseError:
                times = self._one_by_one(cut, errors)
        good = [
            (number, time, self._kept(text, record))
            for (number, text, record), time in zip(cut, times, strict=True)
            if record is not None and time is not None
        ]
        if len(good) < len(cut):
            taken = {number for number, _, _ in good}
            unmatched = sorted([*unmatched, *(number for number, _, _ in cut if number not in taken)])
        return ParsedLines(
            [time for _, time, _ in good],
            [record for _, _, record in good],
            unmatched,
            [number for number, _, _ in good],
            errors,
        )

    def _all(self, found: list[tuple[str, Record | None] | None]) -> tuple[list[Time], list[Record]] | None:
        """Return times and records where nothing is wrong with any line, as it nearly always is."""
        if not all(found):
            return None
        texts: list[str] = [each[0] for each in found]  # type: ignore[index]  # no None
        records: list[Record] = [each[1] for each in found]  # type: ignore[index,misc]
        try:
            times = list(self._readers[0].many(texts)) if all(records) else []
        except ParseError:
            return None
        if len(times) < len(records):
            return None
        if self._keeps_time:
            for text, record in zip(texts, records, strict=True):
                record["time"] = text
        return times, records

    def _one_by_one(
        self, cut: list[tuple[int, str, Record | None]], errors: dict[int, ParseError]
    ) -> list[Time | None]:
        """Return each line's time; None, and what is wrong, for one that has none."""
        times: list[Time | None] = []
        for number, text, _ in cut:
            try:
                times.append(self._time(text))
            except ParseError as error:
                errors[number] = error
                times.append(None)
        return times

    def _time(self, text: str) -> Time:
        first, *others = self._readers
        try:
            return first.one(text)
        except ParseError:
            for reader in others:
                with suppress(ParseError):
                    return reader.one(text)
            raise

    def _kept(self, text: str, record: Record) -> Record:
        if self._keeps_time:
            record["time"] = text
        return record
