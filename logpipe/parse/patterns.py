"""A base for parsers that make a record of an expression's named groups: fluentd's plugin/parser_regexp.rb."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from logpipe.errors import ParseError
from logpipe.event import Record
from logpipe.expression import Pattern, group_names
from logpipe.expression.time_limit import limited_search
from logpipe.parse.fields import P
from logpipe.parse.lines import LineRecordParser
from logpipe.parse.timed import Timed
from logpipe.plugin import Host


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


def record_maker(pattern: Pattern) -> Callable[[re.Match[str]], Record]:
    """Return what makes a record of a match: its named groups, without those that did not match."""
    shown = group_names(pattern)
    names = list(shown)
    if names != [*shown.values()] or [pattern.groupindex[name] for name in names] != [*range(1, pattern.groups + 1)]:
        return lambda match: _present(shown.values(), map(match.groupdict().__getitem__, names))
    certain = _certain(pattern)
    optional = [name for name in names if pattern.groupindex[name] not in certain]

    def record(match: re.Match[str]) -> Record:
        found = dict(zip(names, match.groups(), strict=True))
        for name in optional:
            if found[name] is None:
                del found[name]
        return found

    return record


def _certain(pattern: Pattern) -> set[int]:
    """Return the numbers of groups that take part in every match: those in no other group, choice or repetition."""
    try:
        # `re` tells nobody but itself what it has read; where it stops doing so, every group is looked at
        pieces = re._parser.parse(pattern.pattern, pattern.flags)  # noqa: SLF001
        return {piece[0] for kind, piece in pieces if str(kind) == "SUBPATTERN"}
    except (AttributeError, TypeError, ValueError, OverflowError, RecursionError, re.error):
        return set()


def _present(names: Iterable[str], groups: Iterable[str | None]) -> Record:
    found = dict(zip(names, groups, strict=True))
    return {name: text for name, text in found.items() if text is not None}
