"""Events of several lines, taken apart by regular expressions. Settings and rules: plugin/parser_multiline.rb."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from logpipe import Host, InvalidSetting, Parsed, ParseError, Record, Time, param
from logpipe.builtin.parsers.regexp import record_maker
from logpipe.builtin.parsers.timed import Timed
from logpipe.codec import FieldParser, Joined, ParsedLines, ParseOptions, escaped, unescape_values
from logpipe.ruby import ExpressionError, compile_regexp, group_names, limited_search

MOST_FORMATS: Final = 20

MOST_LINES: Final = 500
"""Lines that are tried as one event where no format_firstline says where events begin: each is tried with those before
it, and a stranger's lines that are in no format would cost the square of their number."""

MOST_TRIED: Final = 64 * 1024
"""Characters of the lines that are tried as one event there."""

MOST_EVENTS: Final = 1000
"""Events that one text may hold; what follows them is not matched."""

_FORMAT: Final = re.compile(r"format(\d+)")


class MultilineOptions(ParseOptions):
    """Settings of `<parse> @type multiline`, with `format1` … `format20`: the parts of one expression."""

    _extra: ClassVar = _FORMAT

    format_firstline: str | None = param(
        "Regular expression, `/…/`, that the first line of each event matches. Without it an event ends with the line "
        "that completes format1 … format20.",
        default=None,
    )
    unmatched_lines: bool = param(
        "Make events with the field unmatched_line of what is not in the format; as emit_unmatched_lines of tail does.",
        default=False,
    )
    time_key: str | None = param("Field that holds the event's time; it is taken out of the record.", default="time")

    @property
    def source(self) -> str:
        """The whole expression: the parts without their slashes, in the order of their numbers."""
        return "".join(self.extra.get(f"format{number}", "")[1:-1] for number in range(1, MOST_FORMATS + 1))

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what is wrong with the expressions, in fluentd's words where they say what to do."""
        yield from super().check()
        problems = [*self._check_formats()]
        yield from problems
        if problems:
            return
        if (problem := _compiled(self.source, "m")) is not None:
            yield InvalidSetting(f"format1 and what follows it make no expression: {problem}", param="format1")
        elif not group_names(compile_regexp(self.source, "m")):
            text = "format1 … format20 have no named captures, so no record can come of them: name groups, (?<name>…)"
            yield InvalidSetting(text, param="format1") if "format1" in self.extra else text

    def _check_formats(self) -> Iterator[InvalidSetting]:
        for name in self.extra:
            number = int(name.removeprefix("format"))
            if not 1 <= number <= MOST_FORMATS:
                yield InvalidSetting(f"Invalid formatN found. N should be 1 - {MOST_FORMATS}: {name}", param=name)
            elif number > 1 and f"format{number - 1}" not in self.extra:
                yield InvalidSetting(f"Jump of format index found. format{number - 1} is missing.", param=name)
        first = {} if self.format_firstline is None else {"format_firstline": self.format_firstline}
        for name, text in {**self.extra, **first}.items():
            if len(text) < 2 or text[0] != "/" or text[-1] != "/":
                yield InvalidSetting(f"format should be Regexp, need //, in {name}: {text!r}", param=name)
            elif (problem := _compiled(text[1:-1], "" if name in first else "m")) is not None:
                yield InvalidSetting(f"Invalid regexp in {name}: {problem}", param=name)


def _compiled(source: str, flags: str) -> str | None:
    """Return what is wrong with an expression; None where nothing is."""
    try:
        compile_regexp(source, flags)
    except ExpressionError as problem:
        return f"{problem}{f': {problem.hint}' if problem.hint else ''}"
    return None


class MultilineParser(FieldParser[MultilineOptions], type="multiline"):
    """Makes records of the named groups of an expression that goes over several lines.

    In `tail` the last event of a file waits until the next one begins, `multiline_flush_interval` is over, or the file
    was rotated away `rotate_wait` ago, so that it may come behind the first of the next file. Its lines stay unread
    meanwhile: they count in `behind_bytes`, and a kill -9, a rotation or a reload finds them where they were. If the
    file is cut and no copy of it was made, the event that waits is lost, and counted in `abandoned_bytes` and in the
    ledger. A stop passes on what waits, but for events to which something was written within its last second: with a
    `pos_file` the next start reads these whole.

    Of an event of more than 4 MiB or 65,536 lines so much is passed on, and the rest of its lines are unmatched.
    Without `format_firstline` lines before the one in which an event begins are unmatched; fluentd forgets them.
    """

    def __init__(self, options: MultilineOptions, host: Host) -> None:
        super().__init__(options, host)
        pattern = compile_regexp(options.source, "m")
        self._record = record_maker(pattern)
        self._search = Timed(pattern.search, options, host, quick=limited_search(pattern))
        self._first: Timed[re.Match[str]] | None = None
        if options.format_firstline is not None:
            self._first = Timed(compile_regexp(options.format_firstline[1:-1], "").search, options, host)

    def parse(self, line: str) -> list[tuple[Time | None, Record]]:
        """Return the events of a text of several lines: what follows one is the next one.

        Raises:
            ParseError: the time of one is in another format.
        """
        events, rest = self._events(line)
        if rest is not None and self.options.unmatched_lines:
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
            if rest is not None and self.options.unmatched_lines:
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
        firsts = [number for number, match in enumerate(self._first.many(texts)) if match is not None]
        return Joined(firsts[0], firsts[1:]) if firsts else Joined(len(lines), [])

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
