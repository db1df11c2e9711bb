"""Lines that a regular expression takes apart."""

from __future__ import annotations

import pytest

from logpipe import ConfigError, ParseError
from logpipe.builtin.parsers.regexp import RegexpParser
from logpipe.testing import build, check_plugin

APACHE = r"""expression /^(?<host>[^ ]*) \[(?<time>[^\]]*)\] "(?<path>[^"]*)"(?: (?<code>\d+))?$/
time_format %d/%b/%Y:%H:%M:%S %z
types code:integer
"""
LINE = b'10.0.0.1 [15/Jun/2016:11:39:30 +0000] "/a" 200'
NOW = 5


async def test_keeps_the_contract() -> None:
    """A parser like any other."""
    await check_plugin(RegexpParser, APACHE)


def test_named_groups_become_fields() -> None:
    """The time is taken out, types are converted, a group without part in the match is left out."""
    parsed = build(RegexpParser, APACHE).parse_lines([LINE, LINE[:-4]], NOW)
    assert parsed.times == [1465990770000000000] * 2
    assert parsed.records == [{"host": "10.0.0.1", "path": "/a", "code": 200}, {"host": "10.0.0.1", "path": "/a"}]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("bad", [b"", b"nonsense", LINE.replace(b"Jun", b"Foo"), b"\xff"])
def test_a_bad_line_leaves_the_others_alone(bad: bytes, place: int) -> None:
    """A line that does not match, or has another time, is told by its number."""
    lines = [LINE, LINE]
    lines.insert(place, bad)
    parsed = build(RegexpParser, APACHE).parse_lines(lines, NOW)
    assert len(parsed.records) == len(parsed.times) == 2
    assert parsed.unmatched == [place]


def test_single_lines() -> None:
    """No match is no event, a wrong time an error."""
    parser = build(RegexpParser, APACHE)
    assert parser.parse("nonsense") == []
    ((time, record),) = parser.parse(LINE.decode())
    assert (time, record["host"]) == (1465990770000000000, "10.0.0.1")
    with pytest.raises(ParseError):
        parser.parse(LINE.decode().replace("Jun", "Foo"))


def test_matches_anywhere_and_at_every_line() -> None:
    """Like Ruby's match it searches, and ^ is the start of any line."""
    assert build(RegexpParser, "expression /^b(?<x>.)$/").parse("a\nbc\nd")[0][1] == {"x": "c"}


@pytest.mark.parametrize(
    ("conf", "matches"),
    [
        ("expression /(?<a>X)/i", True),
        ("expression /(?<a>X)/", False),
        ("expression (?<a>x)", True),
        ("expression /(?<a>X)/\nignorecase true", True),
        ("expression /(?<a>x.y)/m", True),
        ("expression /(?<a>x.y)/\nmultiline true", True),
        ("expression /(?<a>x.y)/", False),
    ],
)
def test_flags(conf: str, *, matches: bool) -> None:
    """The flags i and m of Ruby, and the parameters that once stood for them."""
    assert bool(build(RegexpParser, conf).parse("x\ny")) is matches


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (r"/(.*)/", "no named captures"),
        (r"/(?<a>.)/xyz", "no closing /"),
        (r"/(?<a>x/", "expression|parenthes|group"),
        (r"/[/", "class|bracket|expression"),
    ],
)
def test_unusable_expressions(expression: str, message: str) -> None:
    """What cannot make a record is refused at start, at its place."""
    with pytest.raises(ConfigError, match=message) as refused:
        build(RegexpParser, f"expression {expression}")
    assert refused.value.diagnostics[0].position.line == 3


def test_expression_is_required() -> None:
    """There is nothing to do without one."""
    with pytest.raises(ConfigError, match='"expression" is required'):
        build(RegexpParser)


@pytest.mark.parametrize("timeout", ["", "timeout 0.05"])
def test_timeout(caplog: pytest.LogCaptureFixture, timeout: str) -> None:
    """A line that an expression never comes to an end with is given up, with a warning, and the next one is read."""
    parser = build(RegexpParser, f"expression /^(?<a>(?:a|aa)+)$/\n{timeout}")
    parsed = parser.parse_lines([b"a" * 60 + b"b", b"aaa"], NOW)
    assert parsed.records == [{"a": "aaa"}]
    assert parsed.unmatched == [0]
    assert "parsing timed out" in caplog.text

    caplog.clear()
    assert parser.parse("a" * 60 + "b") == []
    assert parser.parse("aaa")[0][1] == {"a": "aaa"}
    assert "parsing timed out" in caplog.text
