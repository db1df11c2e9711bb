"""Events of several lines, as `<parse> @type multiline` takes them apart."""

from __future__ import annotations

from typing import Any

import pytest

from logpipe import ConfigError
from logpipe.builtin.parsers.multiline import MultilineParser
from logpipe.parse.multiline import MOST_EVENTS, MOST_LINES, MOST_TRIED
from logpipe.testing import build, check_plugin

RAILS = r"""format_firstline /^Started/
format1 /Started (?<method>[^ ]+) "(?<path>[^"]+)" at (?<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000)\n/
format2 /Processing by (?<controller>[^#]+)#(?<action>\w+)\n/
format3 /(?:  Parameters: (?<parameters>[^\n]*)\n)?/
format4 /Completed (?<code>\d+)/
types code:integer
"""
REQUEST = b'Started GET "/x" at 2016-06-15 11:39:30 +0000\nProcessing by Users#index\nCompleted 200'
NOW = 5


async def test_keeps_the_contract() -> None:
    """A parser like any other."""
    await check_plugin(MultilineParser, RAILS)


def test_the_formats_are_one_expression() -> None:
    """`format1` and those after it are put together; what took no part in the match is left out."""
    parsed = build(MultilineParser, RAILS).parse_lines([REQUEST], NOW)
    assert parsed.times == [1465990770000000000]
    assert parsed.records == [
        {"method": "GET", "path": "/x", "controller": "Users", "action": "index", "code": 200},
    ]


def test_keep_time_key() -> None:
    """The common settings of `<parse>` are those of this one, too."""
    parsed = build(MultilineParser, RAILS + "keep_time_key true").parse_lines([REQUEST], NOW)
    assert parsed.records[0]["time"] == "2016-06-15 11:39:30 +0000"


def test_a_dot_is_any_character() -> None:
    """As with Ruby's /m: so the lines of a trace are its message; what is not UTF-8 is kept."""
    parser = build(MultilineParser, "format1 /^(?<level>\\w+) (?<message>.*)/")
    assert parser.parse_lines([b"ERROR boom\n  at a\n  at \xff"], NOW).records == [
        {"level": "ERROR", "message": b"boom\n  at a\n  at \xff"}
    ]


@pytest.mark.parametrize(
    ("setting", "records", "unmatched"),
    [
        ("", [{"a": "1"}, {"a": "2"}], [0]),
        ("unmatched_lines true", [{"a": "1"}, {"a": "2"}, {"unmatched_line": "rest\n"}], []),
    ],
)
def test_one_text_may_hold_several(setting: str, records: list[Any], unmatched: list[int]) -> None:
    """What follows an event is the next one, and the rest is unmatched."""
    parser = build(MultilineParser, f"format1 /^a=(?<a>\\d)/\n{setting}")
    assert parser.parse_lines([b"a=1\na=2\nrest\n"], NOW)[1:] == (records, unmatched)
    assert [record for _, record in parser.parse("a=1\na=2\nrest\n")] == records


def test_a_text_of_endless_events() -> None:
    """An expression that matches nothing ends, and so does one that matches everything."""
    assert len(build(MultilineParser, "format1 /(?<a>x*)/").parse("yyy")) == 1
    assert len(build(MultilineParser, "format1 /(?<a>x)/").parse("x" * 100_000)) == MOST_EVENTS


def test_a_wrong_time_is_unmatched() -> None:
    """The others of its batch are made."""
    parser = build(MultilineParser, RAILS)
    assert parser.parse_lines([REQUEST, REQUEST.replace(b"2016", b"x"), REQUEST], NOW).unmatched == [1]


@pytest.mark.parametrize(
    ("lines", "joined"),
    [
        ([], (0, [])),
        (["at a", "at b"], (2, [])),
        (["at a", "Started 1", "at b", "Started 2", "Started 3", "at c"], (1, [3, 4])),
    ],
)
def test_first_lines_begin_events(lines: list[str], joined: tuple[int, list[int]]) -> None:
    """What is before the first of them belongs to none; the last event may go on."""
    join: Any = build(MultilineParser, RAILS).join
    assert join([line.encode() for line in lines]) == joined


@pytest.mark.parametrize(
    ("lines", "ends"),
    [
        ("a=1 b=1 a=2 b=2 a=3", [2, 4]),
        ("x y a=1 b=1 z a=2 b=2", [1, 2, 4, 5, 7]),
        ("a=1 x a=1 b=1", [1, 2, 4]),
        ("x y z", []),
    ],
)
def test_without_first_lines_the_format_tells(lines: str, ends: list[int]) -> None:
    """An event ends with the line that completes it; lines before the one in which it begins are none of it."""
    join: Any = build(MultilineParser, "format1 /^a=(?<a>\\d)\\n/\nformat2 /^b=(?<b>\\d)/").join
    assert join(lines.encode().split()) == (0, ends)


def test_a_match_behind_the_last_line() -> None:
    """An event has one line at least."""
    join: Any = build(MultilineParser, r"format1 /(?<a>)\z/").join
    assert join([b"x", b"y"]) == (0, [1, 2])


def test_too_much_that_is_in_no_event() -> None:
    """The older half is let go of, so that an event which has begun is not torn; a line that is too long is, too."""
    join: Any = build(MultilineParser, "format1 /^a=(?<a>\\d)\\n/\nformat2 /^b=(?<b>\\d)/").join
    half = MOST_LINES // 2
    assert join([b"x"] * MOST_LINES) == (0, [*range(1, half + 1)])
    assert join([b"x"] * (MOST_LINES - 1) + [b"a=1", b"b=1"]) == (0, [*range(1, MOST_LINES), MOST_LINES + 1])
    long = b"x" * MOST_TRIED
    assert join([long]) == (0, [1])
    assert join([b"x", b"x", long, b"a=1", b"b=1"]) == (0, [1, 2, 3, 5])


def test_a_line_that_takes_exponential_time(caplog: pytest.LogCaptureFixture) -> None:
    """It is let go of with those before it, and not tried again with each line that follows."""
    parser: Any = build(MultilineParser, "format1 /^(?<a>(?:x|xx)+)$\\n/\nformat2 /^b=\\d/\ntimeout 0.05")
    lines = [b"y", b"x" * 60 + b"z", b"x", b"b=1"]
    assert parser.join(lines) == (0, [1, 2, 4])
    assert caplog.text.count("parsing timed out") == 1


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ("format1 /(?<a>.)/\nformat3 /b/", "Jump of format index found. format2 is missing."),
        ("format2 /(?<a>.)/", "Jump of format index found. format1 is missing."),
        ("format1 /(?<a>.)/\nformat21 /b/", "N should be 1 - 20: format21"),
        ("format0 /(?<a>.)/", "N should be 1 - 20: format0"),
        ("format1 (?<a>.)", "need //, in format1"),
        ("format1 /(?<a>.)/\nformat_firstline ^a", "need //, in format_firstline"),
        ("format1 /(?<a>.)/\nformat_firstline /(/", "Invalid regexp in format_firstline"),
        ("format1 /a/", "no named captures"),
        ("format_firstline /a/", "no named captures"),
        ("format1 /(?<a>./", "Invalid regexp in format1"),
        ("format1 /(?<a>x/\nformat2 /y)/", "Invalid regexp in format1"),
        ("format1 /(?<a>x)/\nformat2 /(?<a>y)(?<b/", "Invalid regexp in format2"),
    ],
)
def test_what_is_refused(conf: str, message: str) -> None:
    """As in fluentd, and where the mistake is."""
    with pytest.raises(ConfigError, match=message.replace(".", r"\.").replace("(", r"\(")):
        build(MultilineParser, conf)
