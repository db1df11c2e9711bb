"""What the engine lends of parsers and formatters: the methods that their users call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from logpipe.event import EventBatch, LineBatch, Record, Time


class Parsed(NamedTuple):
    """What a parser made of many lines."""

    times: list[Time]
    records: list[Record]
    unmatched: list[int]
    """Numbers of the lines that are not in the format, counted from 0."""


class LineParser(Protocol):
    """A `Parser`, to the stage whose `<parse>` section it is of."""

    @property
    def options(self) -> Any:
        """Its settings."""
        ...

    @property
    def lines(self) -> Callable[[bytes, int, int, Time], tuple[LineBatch, list[int]] | None] | None:
        """The method that takes lines undecoded, None where there is none; see `Parser.lines`."""
        ...

    def parse(self, line: str) -> list[tuple[Time | None, Record]]:
        """Return the events of one line; see `Parser.parse`."""
        ...

    def parse_lines(self, lines: list[bytes], now: Time) -> Parsed:
        """Return the events of many lines; see `Parser.parse_lines`."""
        ...


class RecordFormatter(Protocol):
    """A `Formatter`, to the stage whose `<format>` section it is of."""

    def format(self, tag: str, time: Time, record: Record) -> bytes:
        """Return one event's bytes; see `Formatter.format`."""
        ...

    def format_batch(self, batch: EventBatch, failed: Callable[[int, Exception], None]) -> list[bytes]:
        """Return each event's bytes; see `Formatter.format_batch`."""
        ...
