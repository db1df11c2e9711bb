"""Lines parsed by a regular expression. Settings and rules: plugin/parser_regexp.rb."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

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
        self._record = record_maker(pattern)

    def record(self, line: str) -> Record | None:
        """Return the record of one line's groups."""
        found = self._search.one(line)
        return None if found is None else self._record(found)

    def records(self, lines: list[str], errors: dict[int, ParseError]) -> list[Record | None]:
        """Return each line's record."""
        del errors
        record = self._record
        return [None if match is None else record(match) for match in self._search.many(lines)]


class RegexpParser(PatternParser[RegexpOptions], type="regexp"):
    """Makes a record of an expression's named groups; a group that did not match is left out."""

    def __init__(self, options: RegexpOptions, host: Host) -> None:
        super().__init__(options, host, options.pattern)


def record_maker(pattern: Pattern) -> Callable[[re.Match[str]], Record]:
    """Return what makes a record of a match: its named groups, without those that did not match."""
    shown = group_names(pattern)
    names = list(shown)
    if names != [*shown.values()] or [pattern.groupindex[name] for name in names] != [*range(1, pattern.groups + 1)]:
        return lambda match: _present(shown.values(), map(match.groupdict().__getitem__, names))

    makers: dict[int, Callable[..., Record]] = {}

    def record(match: re.Match[str]) -> Record:
        groups = match.groups()
        if None in groups:
            while groups and groups[-1] is None:  # what may be missing is often the last
                groups = groups[:-1]
            if None in groups:
                return _present(names[: len(groups)], groups)
        if (make := makers.get(len(groups))) is None:
            make = makers[len(groups)] = _displayed(names[: len(groups)])
        return make(*groups)

    return record


def _displayed(names: list[str]) -> Callable[..., Record]:
    """Return what makes a record of its arguments, by a dict's display: half of what `dict(zip(…))` takes."""
    items = ", ".join(f"{name!r}: g{number}" for number, name in enumerate(names))
    arguments = ", ".join(f"g{number}" for number in range(len(names)))
    made: Callable[..., Record] = eval(f"lambda {arguments}: {{{items}}}")  # noqa: S307 - names stand there as literals
    return made


def _present(names: Iterable[str], groups: Iterable[str | None]) -> Record:
    found = dict(zip(names, groups, strict=True))
    return {name: text for name, text in found.items() if text is not None}
