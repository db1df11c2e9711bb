"""Lines parsed by a regular expression. Settings and rules: plugin/parser_regexp.rb."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias, TypeVar

from logpipe import Host, InvalidSetting, ParseError, Record, param
from logpipe.builtin.parsers.timed import Timed
from logpipe.codec import LineRecordParser, ParseOptions
from logpipe.ruby import ExpressionError, Pattern, compile_regexp, group_names, limited_search, split_regexp

P = TypeVar("P", bound=ParseOptions)


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


class PatternParser(LineRecordParser[P]):
    """Makes a record of an expression's named groups; a group that did not match is left out."""

    def __init__(self, options: P, host: Host, pattern: Pattern) -> None:
        super().__init__(options, host)
        self._search = Timed(pattern.search, options, host, quick=limited_search(pattern))
        self._record = record_maker(group_names(pattern))

    def record(self, line: str) -> Record | None:
        """Return the record of one line's groups."""
        found = self._search.one(line)
        return None if found is None else self._record(found.groupdict())

    def records(self, lines: list[str], errors: dict[int, ParseError]) -> list[Record | None]:
        """Return each line's record."""
        del errors
        record = self._record
        return [None if match is None else record(match.groupdict()) for match in self._search.many(lines)]


class RegexpParser(PatternParser[RegexpOptions], type="regexp"):
    """Makes a record of an expression's named groups; a group that did not match is left out."""

    def __init__(self, options: RegexpOptions, host: Host) -> None:
        super().__init__(options, host, options.pattern)


RecordMaker: TypeAlias = Callable[[dict[str, str | None]], Record]
"""A match's groups to a record."""


def record_maker(names: dict[str, str]) -> RecordMaker:
    """Return what makes a record of groups, for a pattern whose groups are shown under other names in part."""
    if all(name == shown for name, shown in names.items()):
        return _record
    return lambda groups: _record({shown: groups[name] for name, shown in names.items()})


def _record(groups: dict[str, str | None]) -> Record:
    if None in groups.values():
        return {name: text for name, text in groups.items() if text is not None}
    return groups
