"""Parsers and formatters of others: what docs/plugins/parsers.md shows works as it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from logpipe import ParseError
from logpipe.testing import build, check_plugin

GUIDE = Path(__file__).parents[3] / "docs/plugins/parsers.md"


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    """Return what the guide's code defines."""
    names: dict[str, Any] = {"__name__": "guide"}
    for code in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL):
        exec(code, names)  # noqa: S102 - our own text
    return names


async def test_the_parser(shown: dict[str, Any]) -> None:
    """Its settings are those of every `<parse>`, its mistakes are its lines'."""
    cls = shown["PairsParser"]
    await check_plugin(cls)
    parser = build(cls, "time_type unixtime\ntypes n:integer\nnull_value_pattern /^-$/\nseparator :")
    parsed = parser.parse_lines([b"time:7 n:5 a:- b:\xff", b"nothing", b"time:x1", b"n:1"], 9)
    assert parsed.records == [{"n": 5, "a": None, "b": b"\xff"}, {}, {"n": 1}]
    assert (parsed.times, parsed.unmatched, parsed.numbers) == ([7_000_000_000, 0, 9], [1], [0, 2, 3])
    strict = build(cls, "time_format %Y")
    with pytest.raises(ParseError):
        strict.parse("time=x")
    assert strict.parse_lines([b"time=x", b"time=2016"], 9).unmatched == [0]


async def test_the_formatter(shown: dict[str, Any]) -> None:
    """It ends lines as it is told, and writes what is not UTF-8 as it came."""
    cls = shown["ColumnsFormatter"]
    await check_plugin(cls, "keys a")
    formatter = build(cls, "keys a,b,c\nnewline crlf\ntime_format %Y")
    assert formatter.format("t", 0, {"a": 1.0, "b": b"\xff"}) == b"1.0|\xff|\r\n"
