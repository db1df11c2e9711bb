"""Lines parsed by a regular expression. Settings and rules: plugin/parser_regexp.rb."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from logpipe import Host, InvalidSetting, Parsed, Record, Time, param
from logpipe.codec import FieldParser, ParseOptions, escaped, unescaped
from logpipe.ruby import (
    ExpressionError,
    Pattern,
    TimeLimit,
    TimeLimitExceeded,
    call_within,
    compile_regexp,
    group_names,
    limited_search,
    split_regexp,
)


class RegexpOptions(ParseOptions):
    """Settings of `<parse> @type regexp`."""

    expression: str = param(
        "Ruby regular expression, `/…/`, `/…/i` or `/…/m`, whose named groups become the record's fields."
    )
    ignorecase: bool = param("Ignore case.", default=False, deprecated="write /…/i")
    multiline: bool = param("Let a dot match newlines.", default=False, deprecated="write /…/m")
    time_key: str | None = param("Field that holds the event's time; it is taken out of the record.", default="time")

    @property
    def pattern(self) -> Pattern:
        """The expression, compiled.

        Raises:
            ExpressionError: Ruby would refuse it, or it is not supported.
            ValueError: its closing slash is missing.
        """
        source, flags = split_regexp(self.expression)
        if self.ignorecase or self.multiline:
            # compat: parser_regexp.rb lets these replace the flags after the slash
            flags = ("i" if self.ignorecase else "") + ("m" if self.multiline else "")
        return compile_regexp(source, flags)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what is wrong with the expression."""
        yield from super().check()
        try:
            pattern = self.pattern
        except ExpressionError as problem:
            sentence = f"{problem}{f': {problem.hint}' if problem.hint else ''}"
            offset = (problem.offset or 0) + self.expression.startswith("/")
            yield InvalidSetting(sentence, param="expression", offset=offset)
            return
        except ValueError as problem:
            yield InvalidSetting(str(problem), param="expression")
            return
        if not group_names(pattern):
            message = "the expression has no named captures, so no record can come of it: name groups, (?<name>…)"
            yield InvalidSetting(message, param="expression")


class RegexpParser(FieldParser[RegexpOptions], type="regexp"):
    """Makes a record of an expression's named groups; a group that did not match is left out."""

    def __init__(self, options: RegexpOptions, host: Host) -> None:
        super().__init__(options, host)
        pattern = options.pattern
        self._search = pattern.search
        self._search_one = limited_search(pattern)
        self._exact_record, self._escaped_record = _record_makers(group_names(pattern))
        self._limit = TimeLimit()
        if options.timeout:
            seconds = float(options.timeout)
            self._search_one = lambda line: call_within(self._search, line, seconds=seconds)
            self._limit = TimeLimit(seconds, seconds)

    def parse(self, line: str) -> list[tuple[Time | None, Record]]:
        """Return the event of one line.

        Raises:
            ParseError: its time is in another format.
        """
        try:
            found = self._search_one(line)
        except TimeLimitExceeded as error:
            self._give_up(line, error)
            return []
        return [] if found is None else [self.event(self._exact_record(found.groupdict()))]

    def parse_lines(self, lines: list[bytes], now: Time) -> Parsed:
        """Return the events of many lines."""
        try:
            return self._parse_texts([line.decode() for line in lines], now)
        except UnicodeDecodeError:
            return self._parse_texts(list(map(escaped, lines)), now, exact=False)

    def _parse_texts(self, lines: list[str], now: Time, *, exact: bool = True) -> Parsed:
        """Return the events of lines; where they are not `exact`, bytes that are not UTF-8 are escaped in them."""
        found = self._search_all(lines)
        record = self._exact_record if exact else self._escaped_record
        if None not in found:
            records = [record(match.groupdict()) for match in found if match is not None]
            return self.parsed(records, now, numbers=range(len(lines)), unmatched=[])
        matches = [(number, match) for number, match in enumerate(found) if match is not None]
        records = [record(match.groupdict()) for _, match in matches]
        numbers = [number for number, _ in matches]
        unmatched = [number for number, match in enumerate(found) if match is None]
        return self.parsed(records, now, numbers=numbers, unmatched=unmatched)

    def _search_all(self, lines: list[str]) -> list[re.Match[str] | None]:
        """Return each line's match; one on which the expression takes too long has none, as in fluentd."""
        return self._limit.map(self._search, lines, instead=lambda place, error: self._give_up(lines[place], error))

    def _give_up(self, line: str, error: TimeLimitExceeded) -> None:
        self.host.log.warning("parsing timed out, the line is not matched: %s: %r", error, line[:200])


_RecordMaker: TypeAlias = Callable[[dict[str, str | None]], Record]


def _record_makers(names: dict[str, str]) -> tuple[_RecordMaker, _RecordMaker]:
    """Return the function from a match's groups to a record, and the one for lines with escaped bytes."""
    if all(name == shown for name, shown in names.items()):
        return _exact_record, _escaped_record

    def renamed(groups: dict[str, str | None]) -> dict[str, str | None]:
        return {shown: groups[name] for name, shown in names.items()}

    return lambda groups: _exact_record(renamed(groups)), lambda groups: _escaped_record(renamed(groups))


def _exact_record(groups: dict[str, str | None]) -> Record:
    if None in groups.values():
        return {name: text for name, text in groups.items() if text is not None}
    return groups


def _escaped_record(groups: dict[str, str | None]) -> Record:
    return {name: unescaped(text) for name, text in groups.items() if text is not None}
