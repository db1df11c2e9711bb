"""Times read and written as a real Ruby read and wrote them (see README.md beside this file)."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from logpipe.errors import ParseError
from logpipe.time_format import compile_formatter, compile_moment_parser, compile_time_parser, find_zone
from logpipe.time_format.freeform import parse_moment

HERE = Path(__file__).parent
CLOCK = 1795412100.0

BETTER = {
    ("%Y-%m-%d", "12016-06-15"): "a year of five digits is a mistake in a log line",
    ("%Y-%m-%d", "-0016-06-15"): "so is a year before Christ",
    (None, "-1-1-1"): "so is a year before Christ",
    ("%Y-%m-%d %H:%M:%S %Z", "2016-06-15 11:39:30 GMT+9"): "GMT+9 is nine hours ahead, not the machine's zone",
    (None, "Wed Jun 15 2016 11:39:30 GMT+0200 (CEST)"): "GMT+0200 is two hours ahead, not the machine's zone",
    (None, "1999-05-23 21:34:56 [+9]"): "an offset counts although it is written with one digit",
    ("%z", "+0900"): "an offset alone is no time",
    ("%Y-%m-%dT%H:%M:%S.%3N", "2016-06-15T11:39:30.1234"): "%3N reads a fraction",
    ("%-Y-%-m-%-d %H:%M", "2016-06-15 11:39"): "%-d reads as %d does",
}
"""Format and text of the rows where logpipe differs on purpose, with the reason."""


def rows(name: str) -> dict[str, dict[str, Any]]:
    """Return the rows of a file by file and line, but for those where logpipe differs on purpose."""
    lines = (HERE / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    numbered = {f"{name}:{number}": json.loads(line) for number, line in enumerate(lines, start=1)}
    return {at: row for at, row in numbered.items() if (row.get("format"), row.get("text")) not in BETTER}


def each(name: str) -> list[Any]:
    """Return the same, as parameters."""
    return [pytest.param(row, id=at) for at, row in rows(name).items()]


def test_strftime() -> None:
    """A format writes what Ruby's strftime writes."""
    wrong = {at: got for at, row in rows("strftime").items() if (got := _formatted(row)) != row["expect"]}

    assert wrong == {}


def _formatted(row: dict[str, Any]) -> str:
    zone = UTC if row["zone"] == "UTC" else find_zone(row["zone"])
    return compile_formatter(row["format"], zone=zone)(row["time"])


@pytest.mark.parametrize("row", each("strptime"))
def test_strptime(row: dict[str, Any]) -> None:
    """A format reads what Ruby's strptime reads."""
    parser = compile_time_parser(row["format"], zone=UTC, clock=lambda: CLOCK)
    assert _read(lambda: parser.one(row["text"])) == row["expect"]
    assert _read(lambda: parser.many([row["text"]])[0]) in {row["expect"], None}


@pytest.mark.parametrize("row", each("parse"))
def test_parse(row: dict[str, Any]) -> None:
    """Text in no declared format is read as Ruby's Time.parse reads it."""
    assert _read(lambda: parse_moment(row["text"], zone=UTC, clock=lambda: CLOCK).time) == row["expect"]


@pytest.mark.parametrize("row", each("strptime"))
def test_exact_reader_agrees(row: dict[str, Any]) -> None:
    """What is remembered is what the exact reader says."""
    read = compile_moment_parser(row["format"], zone=UTC, clock=lambda: CLOCK)
    assert _read(lambda: read(row["text"]).time) == row["expect"]


def _read(read: Any) -> int | None:
    try:
        result: int = read()
    except ParseError:
        return None
    return result
