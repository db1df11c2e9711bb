"""Logs of Apache and nginx; fluentd's own answers are in the conformance rows."""

from __future__ import annotations

from typing import Any

import pytest

from logpipe import ConfigError, ParseError, Parser
from logpipe.builtin.parsers.apache import Apache2Parser, ApacheErrorParser, ApacheParser
from logpipe.builtin.parsers.nginx import NginxParser
from logpipe.testing import build, check_plugin

NOW = 5
TIME = 1362020400_000000000
ACCESS = '192.0.2.1 - frank [28/Feb/2013:12:00:00 +0900] "GET /a?b=c HTTP/1.1" 200 777 "http://r/" "curl/8"'
ERROR = "[Thu Feb 28 03:00:00 2013] [error] [client 192.0.2.1] denied"

Case = tuple[type[Parser[Any]], str]
ALL: list[Case] = [
    (ApacheParser, ACCESS),
    (Apache2Parser, ACCESS),
    (NginxParser, ACCESS + ' "192.0.2.9"'),
    (ApacheErrorParser, ERROR),
]


@pytest.mark.parametrize(("cls", "line"), ALL)
async def test_keep_the_contract(cls: type[Parser[Any]], line: str) -> None:
    """Parsers like any other; both of their ways make the same, whatever lines are beside them."""
    await check_plugin(cls)
    parser = build(cls, "time_format %d/%b/%Y:%H:%M:%S %z" if cls is ApacheParser else "")
    parsed = parser.parse_lines([b"", line.encode(), b"\xff", line.encode()], NOW)
    ((time, record),) = parser.parse(line)
    assert (parsed.times, parsed.records, parsed.unmatched) == ([time] * 2, [record] * 2, [0, 2])
    assert parsed.numbers == [1, 3]


@pytest.mark.parametrize(
    ("cls", "line", "record"),
    [
        (
            ApacheParser,
            ACCESS,
            {
                "host": "192.0.2.1", "user": "frank", "method": "GET", "path": "/a?b=c", "code": "200", "size": "777",
                "referer": "http://r/", "agent": "curl/8",
            },
        ),
        (ApacheParser, ACCESS[:-21], {"host": "192.0.2.1", "user": "frank", "method": "GET", "path": "/a?b=c",
                                      "code": "200", "size": "777"}),
        (
            Apache2Parser,
            ACCESS.replace("frank", "-").replace("777", "-").replace("http://r/", "-").replace("curl/8", r"a\"b"),
            {
                "host": "192.0.2.1", "user": None, "method": "GET", "path": "/a?b=c", "code": 200, "size": None,
                "referer": None, "agent": r"a\"b",
            },
        ),
        (
            Apache2Parser,
            ACCESS.replace('" 200 777', '" x 7x')[:-21],
            {"host": "192.0.2.1", "user": "frank", "method": "GET", "path": "/a?b=c", "code": None, "size": 7,
             "referer": None, "agent": None},
        ),
        (
            NginxParser,
            ACCESS + " -",
            {
                "remote": "192.0.2.1", "host": "-", "user": "frank", "method": "GET", "path": "/a?b=c", "code": "200",
                "size": "777", "referer": "http://r/", "agent": "curl/8", "http_x_forwarded_for": "-",
            },
        ),
        (ApacheErrorParser, ERROR.replace("[client", "[pid 7] [client"),
         {"level": "error", "pid": "7", "client": "192.0.2.1", "message": "denied"}),
    ],
)  # fmt: skip
def test_fields(cls: type[Parser[Any]], line: str, record: dict[str, Any]) -> None:
    """What is in a line, and what is null or left out where it is not."""
    found = build(cls).parse(line)
    assert [each for _, each in found] == [record]


@pytest.mark.parametrize(("cls", "line"), ALL)
def test_time(cls: type[Parser[Any]], line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken out of the record, or kept; a wrong one is an error of its line."""
    monkeypatch.setenv("TZ", "UTC")
    ((time, record),) = build(cls).parse(line)
    ((same, kept),) = build(cls, "keep_time_key true").parse(line)
    assert time == same == TIME
    assert "time" not in record
    assert kept == {**record, "time": kept["time"]}
    bad = line.replace("28", "48")
    with pytest.raises(ParseError):
        build(cls).parse(bad)
    parsed = build(cls).parse_lines([bad.encode(), line.encode()], NOW)
    assert (parsed.unmatched, list(parsed.errors), parsed.times) == ([0], [0], [TIME])


@pytest.mark.parametrize("cls", [ApacheParser, NginxParser])
def test_settings_of_regexp(cls: type[Parser[Any]]) -> None:
    """All of the base's settings, and an expression of one's own."""
    conf = "types code:integer,size:integer\nnull_value_pattern /^-$/\n"
    ((_, record),) = build(cls, conf).parse(ACCESS.replace("frank", "-"))
    assert (record["user"], record["code"]) == (None, 200)
    own = build(cls, "expression /^(?<time>\\d+) (?<x>.)/\ntime_format %s\n")
    assert own.parse("7 y") == [(7_000_000_000, {"x": "y"})]
    with pytest.raises(ConfigError, match="no named captures"):
        build(cls, "expression /x/")


def test_what_apache2_does_not_read() -> None:
    """Types and formats have no effect, as in fluentd, which is said."""
    ((time, record),) = build(Apache2Parser, "types code:string\nnull_empty_string true\ntime_format %s\n").parse(
        ACCESS
    )
    assert (time, record["code"]) == (TIME, 200)


def test_text_that_is_not_utf8() -> None:
    """Such a text is bytes in the record, and all other fields are as ever."""
    line = ACCESS.encode().replace(b"curl", b"c\xff")
    for cls in (ApacheParser, Apache2Parser):
        (record,) = build(cls).parse_lines([line], NOW).records
        assert (record["agent"], record["path"]) == (b"c\xff/8", "/a?b=c")


def test_a_line_that_takes_too_long(caplog: pytest.LogCaptureFixture) -> None:
    """A stranger's blanks cannot stall the loop: with `timeout` the line is given up, and the next one is read."""
    evil = b'h - - [28/Feb/2013:12:00:00 +0900] "G ' + b" " * 3000
    parsed = build(Apache2Parser, "timeout 0.05").parse_lines([evil, ACCESS.encode()], NOW)
    assert (len(parsed.records), parsed.unmatched) == (1, [0])
    assert "parsing timed out" in caplog.text
