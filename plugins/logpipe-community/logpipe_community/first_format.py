"""Several parsers for one line, of which the first that knows it makes its event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from logpipe import Parsed, ParseError, Record, Time
from logpipe.codec import LineParser


class Attempt(NamedTuple):
    """What parsers made of many lines."""

    events: dict[int, tuple[Time, Record]]
    """By the line's number."""
    left: list[int]
    """The lines that no parser knows."""
    errors: dict[int, ParseError]
    """Those that a parser knows, and whose time it cannot read, unless the next parsers were to be asked."""


def first_of(
    parsers: Sequence[tuple[str, LineParser]],
    lines: list[bytes],
    now: Time,
    *,
    name_key: str | None,
    goes_on: bool,
) -> Attempt:
    """Return the first event that a parser finds in each line; each is given all that those before it have left.

    Args:
        parsers: with their names.
        lines: what is parsed.
        now: the time of events without one.
        name_key: the field that gets the parser's name.
        goes_on: whether a line whose time one parser cannot read is given to the next.
    """
    attempt = Attempt({}, list(range(len(lines))), {})
    events, errors = attempt.events, attempt.errors
    for name, parser in parsers:
        left = [number for number in attempt.left if number not in events and number not in errors]
        if not left:
            break
        texts = [lines[number] for number in left]
        parsed = parser.parse_lines(texts, now)
        numbers = parsed.lines_of_records(len(left))
        if numbers is None:
            parsed, numbers = _one_by_one(parser, texts, now)
        for number, time, record in zip(numbers, parsed.times, parsed.records, strict=True):
            if left[number] not in events:
                events[left[number]] = time, record
                if name_key is not None:
                    record[name_key] = name
        if not goes_on:
            errors.update((left[number], error) for number, error in parsed.errors.items())
    attempt.left[:] = [number for number in attempt.left if number not in events]
    return attempt


def _one_by_one(parser: LineParser, lines: list[bytes], now: Time) -> tuple[Parsed, list[int]]:
    """Return the events of many lines, and the line of each, from a parser that does not say it for many."""
    made = Parsed([], [], [])
    numbers: list[int] = []
    for number, line in enumerate(lines):
        parsed = parser.parse_lines([line], now)
        made.times.extend(parsed.times)
        made.records.extend(parsed.records)
        numbers += [number] * len(parsed.records)
    return made, numbers
