"""Tries several parsers on each line. Settings and rules: fluent-plugin-multi-format-parser 1.1.0."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from logpipe import (
    Host,
    InvalidSetting,
    Options,
    Parsed,
    ParseError,
    Parser,
    PluginConf,
    Record,
    Seconds,
    Time,
    param,
    plugin_section,
)
from logpipe.codec import LineParser, ParsedLines, ParseOptions
from logpipe_community.first_format import first_of


class PatternOptions(Options):
    """What a `<pattern>` has beside its parser's own settings."""

    format: str = param("The parser's type, or a regular expression between slashes.")
    format_name: str | None = param(
        "What `format_key` gets; without it the format, `#`, and its number from 0.", default=None
    )


_OWN: Final = "each <pattern> reads its lines by its own settings: write it there"


class MultiFormatOptions(ParseOptions):
    """Settings of `<parse> @type multi_format`."""

    time_key: str | None = param("Accepted for compatibility.", default=None, no_effect=_OWN)
    time_format: str | None = param("Accepted for compatibility.", default=None, no_effect=_OWN)
    keep_time_key: bool = param("Accepted for compatibility.", default=False, no_effect=_OWN)
    types: dict[str, str] = param("Accepted for compatibility.", default={}, no_effect=_OWN)
    null_value_pattern: re.Pattern[str] | None = param("Accepted for compatibility.", default=None, no_effect=_OWN)
    null_empty_string: bool = param("Accepted for compatibility.", default=False, no_effect=_OWN)
    timeout: Seconds | None = param("Accepted for compatibility.", default=None, no_effect=_OWN)
    format_key: str | None = param("Field that gets the name of the format that a line is in.", default=None)
    pattern: list[PluginConf] = plugin_section(
        "A parser; the first that a line is in the format of makes its record. `<format>` is the same.",
        kind="parser",
        many=True,
        owned=PatternOptions,
        type_param="format",
    )
    format: list[PluginConf] = plugin_section(
        "The old name of `<pattern>`.", kind="parser", many=True, owned=PatternOptions, type_param="format"
    )

    @property
    def patterns(self) -> list[PluginConf]:
        """Both, those called `<pattern>` first."""
        return [*self.pattern, *self.format]

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield a warning where there is no parser, so that every line is unmatched."""
        yield from super().check()
        if not self.patterns:
            text = "no <pattern>, so that no line is in the format: add one with a format, json or none for example"
            yield InvalidSetting(text, severity="warning")


class MultiFormatParser(Parser[MultiFormatOptions], type="multi_format"):
    """Reads each line by the first of several parsers that it is in the format of.

    One whose time is in another format is given to the next parser, as in the original.
    """

    compat_flat = ("format_key", "pattern")

    def __init__(self, options: MultiFormatOptions, host: Host) -> None:
        super().__init__(options, host)
        self._parsers: list[tuple[str, LineParser]] = []
        for number, conf in enumerate(options.patterns):
            owned: Any = conf.owned  # what the section declares
            self._parsers.append((owned.format_name or f"{owned.format}#{number}", host.parser(conf)))

    def parse(self, line: str) -> list[tuple[Time | None, Record]]:
        """Return the event of one line: the first that a parser finds in it, as in the original."""
        for name, parser in self._parsers:
            try:
                events = parser.parse(line)[:1]
            except ParseError:
                continue
            if events:
                self._name(events[0][1], name)
                return events
        return []

    def parse_lines(self, lines: list[bytes], now: Time) -> Parsed:
        """Return the events of many lines: each parser is given all that those before it have left."""
        found = first_of(self._parsers, lines, now, name_key=self.options.format_key, goes_on=True)
        numbers = sorted(found.events)
        times, records = [found.events[each][0] for each in numbers], [found.events[each][1] for each in numbers]
        return ParsedLines(times, records, found.left, numbers, {})

    def parse_value(self, value: Any) -> list[tuple[Time | None, Record]]:
        """Return the event of a field that is no text, by the first parser that takes it.

        Raises:
            ParseError: none does.
        """
        for name, parser in self._parsers:
            try:
                events = parser.parse_value(value)[:1]
            except ParseError:
                continue
            if events:
                self._name(events[0][1], name)
                return events
        return super().parse_value(value)

    def _name(self, record: Record, name: str) -> None:
        if self.options.format_key is not None:
            record[self.options.format_key] = name
