"""A base for parsers of events that have several lines: fluentd's plugin/parser_multiline.rb."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from logpipe.errors import ParseError
from logpipe.event import Record, Time
from logpipe.expression import Pattern
from logpipe.expression.time_limit import limited_search
from logpipe.parse.fields import FieldParser, P
from logpipe.parse.patterns import record_maker
from logpipe.parse.timed import Timed
from logpipe.plugin import Host, Joined, Parsed, ParsedLines
from logpipe.raw_text import escaped, unescape_values

MOST_LINES: Final = 500
"""Lines that are tried as one event where no format_firstline says where events begin: each is tried with those before
it, and a stranger's lines that are in no format would cost the square of their number."""

MOST_TRIED: Final = 64 * 1024
"""Characters of the lines that are tried as one event there."""

MOST_EVENTS: Final = 1000
"""Events that one text may hold; what follows them is not matched."""


class MultilinePatternParser(FieldParser[P]):
    """Makes records of the named groups of an expression that goes over several lines.

    Args:
        options: those of the parser.
        host: that of its owner.
        pattern: the whole expression.
        first: what the first line of each event matches; without it an event ends with the line that completes it.
        keeps_rest: whether what is not in the format becomes an event with the field `unmatched_line`.
    """

    def __init__(
        self, options: P, host: Host, pattern: Pattern, *, first: Pattern | None = None, keeps_rest: bool = False
    ) -> None:
        super().__init__(options, host)
        self._keeps_rest = keeps_rest
        self._record = record_maker(pattern)
        self._search = Timed(pattern.search, options, host, quick=limited_search(pattern))
        self._first: Timed[re.Match[str]] | None = None
        if first is not None:
            self._first = Timed(first.search, options, host)

    def parse(self, line: str) -> list[tuple[Time | None, Record]]:
        """Return the events of a text of several lines: what follows one is the next one.

        Raises:
            ParseError: the time of one is in another format.
        """
        events, rest = self._events(line)
        if rest is not None and self._keeps_rest:
            events.append((self.host.clock.now(), {"unmatched_line": rest}))
        return events

    def parse_lines(self, lines: list[bytes], now: Time) -> Parsed:
        """Return the events of many texts; one is unmatched, too, where only its beginning is in the format."""
        try:
            texts, is_exact = [line.decode() for line in lines], True
        except UnicodeDecodeError:
            texts, is_exact = list(map(escaped, lines)), False
        found = self._search.many(texts)
        groups = [match for match, text in zip(found, texts, strict=True) if match and match.end() == len(text)]
        if len(groups) == len(lines):  # as most are, and then they are handled together
            records = list(map(self._record, groups))
            if not is_exact:
                records = list(map(unescape_values, records))
            return self.parsed(records, now, numbers=range(len(lines)), unmatched=[])
        numbers: list[int] = []
        errors: dict[int, ParseError] = {}
        parsed = ParsedLines([], [], [], numbers, errors)
        for number, text in enumerate(texts):
            try:
                events, rest = self._events(text)
            except ParseError as error:
                errors[number] = error
                events, rest = [], text
            if rest is not None and self._keeps_rest:
                events.append((now, {"unmatched_line": rest}))
            elif rest is not None:
                parsed.unmatched.append(number)
            for time, record in events:
                parsed.times.append(now if time is None else time)
                parsed.records.append(unescape_values(record))
                numbers.append(number)
        return parsed

    def _events(self, text: str) -> tuple[list[tuple[Time | None, Record]], str | None]:
        """Return the events of a text, and what follows them and is in no format; None where nothing does."""
        events: list[tuple[Time | None, Record]] = []
        while True:
            found = self._search.one(text)
            if found is None or len(events) == MOST_EVENTS:
                return events, text
            events.append(self.event(self._record(found)))
            rest = text[found.end() :].removeprefix("\n")
            if not rest or len(rest) == len(text):
                return events, None
            text = rest

    def join(self, lines: list[bytes]) -> Joined:
        """Return which lines are one event: those from one first line to the next, or those that are in the format."""
        texts = escaped(b"\n".join(lines)).split("\n")
        if len(texts) != len(lines):  # lines that end with something else may hold it
            texts = list(map(escaped, lines))
        texts = [f"{text}\n" for text in texts]  # as fluentd reads them, with their ends
        if self._first is None:
            return Joined(0, self._ends(texts))
        return joined_by_first(self._first.many(texts))

    def _ends(self, texts: list[str]) -> list[int]:
        """Return where events end that nothing but the format tells: with the line that completes it.

        The lines before the one in which an event begins are each for itself, and where too many are in no event, the
        older half of them; all of them where trying them takes too long, or the next line would take as long again.
        """
        ends: list[int] = []
        given_up = self._search.given_up
        text, begin = "", 0
        for number, line in enumerate(texts, 1):
            text += line
            if (found := self._search.one(text)) is not None:
                first = min(begin + text.count("\n", 0, found.start()), number - 1)
                ends += [*range(begin + 1, first + 1), number]
                text, begin = "", number
            elif self._search.given_up > given_up:
                ends += range(begin + 1, number + 1)
                text, begin, given_up = "", number, self._search.given_up
            while number - begin >= MOST_LINES or len(text) > MOST_TRIED:
                middle = (begin + number + 1) // 2
                ends += range(begin + 1, middle + 1)
                text, begin = "".join(texts[middle:number]), middle
        return ends


def joined_by_first(found: Sequence[object | None]) -> Joined:
    """Return which lines are one event, from what an expression for the first line of each finds in each line."""
    firsts = [number for number, match in enumerate(found) if match is not None]
    return Joined(firsts[0], firsts[1:]) if firsts else Joined(len(found), [])
