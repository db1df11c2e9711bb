"""What reads and writes records: parsers and formatters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from logpipe.errors import ParseError
from logpipe.event import EventBatch, LineBatch, Record, Time
from logpipe.plugin.failures import told
from logpipe.plugin.host import Joined, Parsed, ParsedLines, Splitter
from logpipe.plugin.stages import O, Plugin
from logpipe.raw_text import escaped, is_utf8, unescape_values


class Parser(Plugin[O]):
    """Turns lines into records. Override `parse` (easy) or `parse_lines` too (fast)."""

    kind = "parser"
    _one_of = ("parse", "parse_lines")
    compat_flat: ClassVar[tuple[str, ...]] = ()
    """Its parameters and sections that 0.12 reads flat beside `format TYPE`, where only this parser has them."""

    def parse(self, line: str) -> list[tuple[Time | None, Record]]:
        """Return the events of one line: none where it is not in the format, several where a line holds several.

        A time of None means that the line has none and the caller's clock counts. A byte that is not UTF-8 stands in
        the line as a lone surrogate, U+DC80 to U+DCFF; what comes of it in a record, `parse_lines` makes bytes again.

        Raises:
            ParseError: the line is in the format, but its time is not; among many lines it counts as unmatched.
        """
        raise NotImplementedError

    def parse_lines(self, lines: list[bytes], now: Time) -> Parsed:
        """Return the events of many lines, and the lines that are in no format. `now` stands in for a missing time.

        A line comes without its newline. What is not UTF-8 is never fatal, and never changed: a text that holds such
        bytes is `bytes` in the record (`logpipe.text_or_bytes`).

        Where a line may have several records, or none without being unmatched, it returns `ParsedLines`, of
        `logpipe.codec`: else nobody can tell of which line a record is.
        """
        numbers: list[int] = []
        errors: dict[int, ParseError] = {}
        parsed = ParsedLines([], [], [], numbers, errors)
        for number, line in enumerate(lines):
            text = escaped(line)
            try:
                events = self.parse(text)
            except ParseError as error:
                errors[number] = error
                events = []
            if not events:
                parsed.unmatched.append(number)
            valid = text.isascii() or is_utf8(line)
            for time, record in events:
                parsed.times.append(now if time is None else time)
                parsed.records.append(record if valid else unescape_values(record))
                numbers.append(number)
        return parsed

    def parse_value(self, value: Any) -> list[tuple[Time | None, Record]]:
        """Return the events of a record's field that is no text: a number, a list, an object, a bool; as `parse` does.

        Raises:
            ParseError: only text can be in the format.
        """
        raise ParseError(f"parse failed: {type(value).__name__} is no text")

    lines: Callable[[bytes, int, int, Time], tuple[LineBatch, list[int]] | None] | None = None
    """Override as a method `lines(block, start, stop, now)` to take lines as they are, decoded where that is needed.

    Called with whole lines of a block: `stop` is right behind a newline, and there are neither NULs nor carriage
    returns. It returns a batch, whose tag and receipt the caller sets, and the numbers of the lines that are not in the
    format, counted from 0. The batch has an event for each of the others, with the time that `parse_lines` would give
    it, and its `records` are what that would have made. Where this cannot be promised for all of these lines it returns
    None, and `parse_lines` is called. Where the settings never allow it, the constructor sets `self.lines = None`.
    """

    splitter: Callable[[], Splitter] | None = None
    """Override as a method where a stream of bytes, from a command say, is not cut at newlines.

    It returns what cuts one stream into messages, which come to `parse_lines`.
    """

    join: Callable[[list[bytes]], Joined] | None = None
    """Override as a method `join(lines)` where events have several lines.

    Called with lines as in `parse_lines`, the first of them one with which an event may begin. What it says are whole
    events comes to `parse_lines`, the lines of each as one, with newlines between them; lines that may still go on are
    passed to `join` again, with what has come after them, or to `parse_lines` where nothing comes for long.
    """


class Formatter(Plugin[O]):
    """Turns records into bytes. Override `format` (easy) or `format_batch` too (fast)."""

    kind = "formatter"
    is_binary: ClassVar[bool] = False
    """Whether what it writes are no lines: who writes lines ends each with a newline, whatever the settings say."""
    _one_of = ("format", "format_batch")

    def format(self, tag: str, time: Time, record: Record) -> bytes:
        """Return one event's bytes, with the newline if the format has one.

        Raises:
            FormatError: the record cannot be written so.
        """
        raise NotImplementedError

    def format_batch(self, batch: EventBatch, failed: Callable[[int, Exception], None]) -> list[bytes]:
        """Return each event's bytes, in order; `failed(index, error)` is told of a bad one, whose bytes are empty."""
        payloads: list[bytes] = []
        for index, (time, record) in enumerate(zip(batch.times, batch.records, strict=True)):
            try:
                payload: Any = self.format(batch.tag, time, record)
                if not isinstance(payload, bytes):
                    raise TypeError(told(self, "format", payload, "bytes"))  # noqa: TRY301 - it is this record's failure
                payloads.append(payload)
            except MemoryError:
                raise  # no record is to blame
            except Exception as error:  # noqa: BLE001 - a bad record must not stop its batch
                failed(index, error)
                payloads.append(b"")
        return payloads
