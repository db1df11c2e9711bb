"""Lines read by named patterns. Settings and rules: fluent-plugin-grok-parser 2.6.2, parser_grok.rb."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from logpipe import Host, InvalidSetting, Options, Parsed, Parser, Record, Time, param, section
from logpipe.codec import (
    Joined,
    LineParser,
    ParsedLines,
    ParseOptions,
    PatternParser,
    Timed,
    escaped,
    joined_by_first,
    text_or_bytes,
)
from logpipe.ruby import ExpressionError, compile_regexp, group_names
from logpipe_community.first_format import first_of
from logpipe_community.grok.ecs import ECS
from logpipe_community.grok.expansion import PatternError, expand, read_patterns
from logpipe_community.grok.patterns import LEGACY

_NOTHING = "No grok pattern matched"


class PatternOptions(Options):
    """Settings of `<grok>`."""

    name: str | None = param("What `grok_name_key` gets; without it, its number from 0.", default=None)
    pattern: str = param("The pattern: `%{IP:client} %{NUMBER:took:float}`, and any of Ruby's expressions between.")
    keep_time_key: bool = param("Leave the time's field in the record.", default=False)
    time_key: str | None = param("Field that holds the event's time.", default="time")
    time_format: str | None = param("How the time is written.", default=None)
    timezone: str | None = param("The zone of times without one.", default=None)


class GrokOptions(ParseOptions):
    """Settings of `<parse> @type grok`."""

    grok_pattern: str | None = param("The pattern, where there is one only.", default=None)
    grok: list[PatternOptions] = section("A pattern; the first that matches a line makes its record.", many=True)
    custom_pattern_path: str | None = param(
        "A file of patterns, NAME and expression on each line, or a folder of such files.", default=None
    )
    grok_failure_key: str | None = param("Field that says of a line that no pattern matches it.", default=None)
    grok_name_key: str | None = param("Field that gets the pattern's name.", default=None)
    grok_pattern_series: Literal["legacy", "ecs-v1"] = param(
        "Whether the fields of whole lines have their usual names, or those of Elastic's common schema.",
        default="legacy",
    )
    time_key: str | None = param("Field that holds the event's time; it is taken out of the record.", default="time")

    def known(self) -> Mapping[str, str]:
        """Return the patterns that are known by name.

        Raises:
            InvalidSetting: the file of one's own cannot be read.
        """
        known = ECS if self.grok_pattern_series == "ecs-v1" else LEGACY
        if self.custom_pattern_path is None or not Path(self.custom_pattern_path).exists():
            return known  # compat: parser_grok.rb does not mind that it is not there
        try:
            return {**known, **read_patterns(Path(self.custom_pattern_path))}
        except OSError as problem:
            text = f"custom_pattern_path cannot be read: {problem.strerror}: {problem.filename}"
            raise InvalidSetting(text, param="custom_pattern_path") from None

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield an error where there is no pattern."""
        yield from super().check()
        if self.grok_pattern is None and not self.grok:
            yield "no grok patterns: write grok_pattern, or a <grok> with a pattern"

    def of_pattern(self, own: PatternOptions | None, types: dict[str, str]) -> ParseOptions:
        """Return the settings that one pattern's fields are read by."""
        given = {name: getattr(self, name) for name in ParseOptions.settings()}
        if own is not None:
            given |= {"time_key": own.time_key, "keep_time_key": own.keep_time_key or self.keep_time_key}
            given |= {"time_format": own.time_format or self.time_format, "timezone": own.timezone or self.timezone}
        return ParseOptions(**given | {"types": types or self.types})


class GrokParser(Parser[GrokOptions], type="grok"):
    """Makes a record of each line by the first pattern that matches it; of any other line, the field `message`."""

    compat_flat: ClassVar[tuple[str, ...]] = (
        "grok",
        "grok_pattern",
        "custom_pattern_path",
        "grok_failure_key",
        "grok_name_key",
        "grok_pattern_series",
    )
    _flags = ""

    def __init__(self, options: GrokOptions, host: Host) -> None:
        super().__init__(options, host)
        known = options.known()
        self._parsers: list[tuple[Any, LineParser]] = []
        if options.grok_pattern is not None:
            parser = self._parser(options.grok_pattern, None, known, setting="grok_pattern")
            self._parsers.append(("grok_pattern", parser))
        else:
            for number, own in enumerate(options.grok):
                name: Any = number if own.name is None else own.name
                self._parsers.append((name, self._parser(own.pattern, own, known)))

    def _parser(
        self, pattern: str, own: PatternOptions | None, known: Mapping[str, str], *, setting: str = ""
    ) -> LineParser:
        """Return the parser of one pattern.

        Raises:
            InvalidSetting: it is none.
        """
        try:
            source, types = expand(pattern, known)
            compiled = compile_regexp(source, self._flags)
        except PatternError as problem:
            raise InvalidSetting(str(problem), param=setting) from None
        except ExpressionError as problem:
            raise InvalidSetting(f"{pattern!r} makes no expression: {problem}", param=setting) from None
        if not group_names(compiled):
            raise InvalidSetting(f"{pattern!r} has no fields: write %{{NAME:field}}", param=setting)
        return PatternParser(self.options.of_pattern(own, types), self.host, compiled)

    def parse(self, line: str) -> list[tuple[Time | None, Record]]:
        """Return the event of one line.

        Raises:
            ParseError: its time is in another format.
        """
        for name, parser in self._parsers:
            for time, record in parser.parse(line):
                if self.options.grok_name_key is not None:
                    record[self.options.grok_name_key] = name
                return [(time, record)]
        return [(self.host.clock.now(), self._unknown(line))]

    def parse_lines(self, lines: list[bytes], now: Time) -> Parsed:
        """Return the events of many lines."""
        found = first_of(self._parsers, lines, now, name_key=self.options.grok_name_key, goes_on=False)
        for number in found.left:
            if number not in found.errors:
                found.events[number] = now, self._unknown(text_or_bytes(lines[number]))
        numbers = sorted(found.events)
        times, records = [found.events[each][0] for each in numbers], [found.events[each][1] for each in numbers]
        return ParsedLines(times, records, sorted(found.errors), numbers, found.errors)

    def _unknown(self, line: str | bytes) -> Record:
        """Return the record of a line that no pattern matches."""
        record: Record = {"message": line}
        if self.options.grok_failure_key is not None:
            record[self.options.grok_failure_key] = _NOTHING
        return record


class MultilineGrokOptions(GrokOptions):
    """Settings of `<parse> @type multiline_grok`."""

    multiline_start_regexp: re.Pattern[str] | None = param(
        "Regular expression, `/…/`, of the first line of an event; without it each line is one.", default=None
    )


class MultilineGrokParser(GrokParser, type="multiline_grok"):
    """Makes records of events that have several lines, likewise; a dot in a pattern matches newlines."""

    _flags = "m"
    options_class = MultilineGrokOptions
    compat_flat = (*GrokParser.compat_flat, "multiline_start_regexp")

    def __init__(self, options: MultilineGrokOptions, host: Host) -> None:
        super().__init__(options, host)
        if options.multiline_start_regexp is not None:
            first = Timed(options.multiline_start_regexp.search, options, host)
            self.join = lambda lines: _joined(first, lines)


def _joined(first: Timed[re.Match[str]], lines: list[bytes]) -> Joined:
    return joined_by_first(first.many([f"{escaped(line)}\n" for line in lines]))
