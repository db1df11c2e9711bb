"""A base for parsers that make one record of a line, or none."""

from __future__ import annotations

from logpipe.errors import ParseError
from logpipe.event import Record, Time
from logpipe.parse.fields import FieldParser, P
from logpipe.plugin import Parsed
from logpipe.raw_text import escaped, unescape_values


class LineRecordParser(FieldParser[P]):
    """Override `record` (easy), and `records` too where many lines are faster together.

    The time and the types are the base's business. A byte that is not UTF-8 stands in a line as a lone surrogate, and
    what comes of it in a record is made bytes again here.
    """

    def record(self, line: str) -> Record | None:
        """Return a line's record, with its time in it; None where the line is not in the format.

        Raises:
            ParseError: it is in the format, but broken; the message is shown.
        """
        raise NotImplementedError

    def records(self, lines: list[str], errors: dict[int, ParseError]) -> list[Record | None]:
        """Return each line's record, None for one that is not in the format; `errors` takes what is broken, too."""
        found: list[Record | None] = []
        for number, line in enumerate(lines):
            try:
                found.append(self.record(line))
            except ParseError as error:
                errors[number] = error
                found.append(None)
        return found

    def parse(self, line: str) -> list[tuple[Time | None, Record]]:
        """Return the event of one line.

        Raises:
            ParseError: it is broken, or its time is in another format.
        """
        record = self.record(line)
        return [] if record is None else [self.event(record)]

    def parse_lines(self, lines: list[bytes], now: Time) -> Parsed:
        """Return the events of many lines."""
        errors: dict[int, ParseError] = {}
        try:
            found = self.records([line.decode() for line in lines], errors)
        except UnicodeDecodeError:
            found = list(map(unescape_values, self.records(list(map(escaped, lines)), errors)))
        if None not in found:
            return self.parsed(found, now, numbers=range(len(lines)), unmatched=[])  # type: ignore[arg-type]  # no None
        matched = [(number, record) for number, record in enumerate(found) if record is not None]
        numbers = [number for number, _ in matched]
        unmatched = [number for number, record in enumerate(found) if record is None]
        return self.parsed([each for _, each in matched], now, numbers=numbers, unmatched=unmatched, errors=errors)
