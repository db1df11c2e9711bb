"""Lines of syslog; most of fluentd's own answers are in the conformance rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from logpipe import ParseError
from logpipe.builtin.parsers.syslog import SyslogParser
from logpipe.testing import FakeHost, ManualClock, build, check_plugin

NOW = 5
PLAIN = "Feb 28 12:00:00 192.0.2.1 fluentd[11111]: [error] Syslog test"
STRUCTURED = '<16>1 2013-02-28T12:00:00.003Z 192.0.2.1 fluentd 11111 ID24224 [a@1 b="3"][c@2 d="]x"] Hi, from Fluentd!'
FIELDS = {"host": "192.0.2.1", "ident": "fluentd", "pid": "11111"}
ENGINES = pytest.mark.parametrize("engine", ["regexp", "string"])


def parser(conf: str = "", engine: str = "regexp") -> SyslogParser:
    """Return a parser in the spring of 2013."""
    clock = ManualClock(int(datetime(2013, 3, 1, tzinfo=UTC).timestamp()) * 10**9)
    built: SyslogParser = build(SyslogParser, f"utc true\nparser_type {engine}\n{conf}", host=FakeHost(clock=clock))
    return built


def both(conf: str, line: str, engine: str = "regexp") -> list[tuple[Any, Any]]:
    """Return what both ways of parsing make of a line, which is the same."""
    made = parser(conf, engine)
    parsed = made.parse_lines([line.encode("utf-8", "surrogateescape")], NOW)
    try:
        events = made.parse(line)
    except ParseError:
        assert list(parsed.errors) == parsed.unmatched == [0]
        raise
    assert parsed.errors == {}
    assert parsed.unmatched == ([] if events else [0])
    assert list(zip(parsed.times, parsed.records, strict=True)) == events
    return events


@ENGINES
async def test_keeps_the_contract(engine: str) -> None:
    """A parser like any other."""
    await check_plugin(SyslogParser, f"parser_engine {engine}\nmessage_format auto")


@ENGINES
@pytest.mark.parametrize(
    ("rest", "fields"),
    [
        ("h k: m", {"host": "h", "ident": "k", "message": "m"}),
        ("h k[7]: m n", {"host": "h", "ident": "k", "pid": "7", "message": "m n"}),
        ("h k m", {"host": "h", "ident": "k", "message": "m"}),
        ("h k: \u65e5\u672c", {"host": "h", "ident": "k", "message": "\u65e5\u672c"}),
        ("h k: m\r", {"host": "h", "ident": "k", "message": "m"}),
        (" k: m", {"host": "", "ident": "k", "message": "m"}),
    ],
)
def test_plain_lines(engine: str, rest: str, fields: dict[str, str]) -> None:
    """What both engines take alike."""
    assert both("", f"Feb 28 12:00:00 {rest}", engine) == [(1362052800_000000000, fields)]


@pytest.mark.parametrize(
    ("conf", "engine", "rest", "fields"),
    [
        ("", "regexp", "h k a b: c", {"host": "h", "ident": "k", "message": "c"}),
        ("", "string", "h k a b: c", {"host": "h", "ident": "k", "message": "a b: c"}),
        ("", "regexp", "h k[x]: c", {"host": "h", "ident": "k", "message": "c"}),
        ("", "string", "h k[x]: c", {"host": "h", "ident": "k", "pid": "x", "message": "c"}),
        ("", "string", "h k[x] c", {"host": "h", "ident": "k", "pid": "x", "message": "c"}),
        ("", "regexp", "h k:", {"host": "h", "ident": "k", "message": ""}),
        ("", "string", "h k: l1\nl2\r\n", {"host": "h", "ident": "k", "message": "l1\nl2"}),
        ("", "string", "h k: l1\n\n", {"host": "h", "ident": "k", "message": "l1\n"}),
        ("", "regexp", "h k: l1\nl2", {"host": "h", "ident": "k", "message": "l1"}),
        ("", "string", "h k:", {"host": "h", "message": "k:"}),
        ("", "regexp", "h a:b c", {"host": "h", "ident": "a", "message": "b c"}),
        ("", "string", "h a:b c", {"host": "h", "ident": "a:b", "message": "c"}),
        ("support_colonless_ident false", "string", "h k m", {"host": "h", "message": "k m"}),
        ("support_colonless_ident false", "string", "h k[7] m", {"host": "h", "message": "k[7] m"}),
        (
            "support_colonless_ident false",
            "string",
            "h k[7]: m",
            {"host": "h", "ident": "k", "pid": "7", "message": "m"},
        ),
        ("support_colonless_ident false", "string", "h k: m", {"host": "h", "ident": "k", "message": "m"}),
    ],
)
def test_where_the_engines_differ(conf: str, engine: str, rest: str, fields: dict[str, str]) -> None:
    """Colons further on, what is no number, and words without a colon."""
    assert [record for _, record in both(conf, f"Feb 28 12:00:00 {rest}", engine)] == [fields]


@ENGINES
def test_structured_lines(engine: str) -> None:
    """RFC 5424, whose time may have no fraction, and which may have no message."""
    conf = "message_format rfc5424\nwith_priority true"
    extra = '[a@1 b="3"][c@2 d="]x"]'
    fields = {"pri": 16, **FIELDS, "msgid": "ID24224", "extradata": extra, "message": "Hi, from Fluentd!"}
    assert both(conf, STRUCTURED, engine) == [(1362052800_003000000, fields)]
    assert both(conf, STRUCTURED.replace(".003", ""), engine)[0][0] == 1362052800_000000000
    del fields["message"]
    assert both(conf, STRUCTURED[: STRUCTURED.index(" Hi")], engine) == [(1362052800_003000000, fields)]
    assert both(conf, "<7>1 2013-02-28T12:00:00Z h a - - - x\ny", engine)[0][1] == {
        "pri": 7, "host": "h", "ident": "a", "pid": "-", "msgid": "-", "extradata": "-", "message": "x\ny",
    }  # fmt: skip


def test_quirks_of_structured_lines() -> None:
    """The engine regexp looks for the fields further on, too; the engine string leaves backslashes out."""
    conf = "message_format rfc5424\nwith_priority true"
    assert both(conf, "<7>1 2013-02-28T12:00:00Z \u00e9 h a 1 - - x")[0][1]["host"] == "h"
    assert both(conf, '<7>1 2013-02-28T12:00:00Z h a 1 - [b c="\\]"] x', "string")[0][1]["extradata"] == '[b c="]"]'
    assert both(conf, '<7>1 2013-02-28T12:00:00Z h a 1 - [b c="\\] d"] x')[0][1]["extradata"] == '[b c="\\] d"]'


@ENGINES
def test_each_line_in_its_format(engine: str) -> None:
    """With `auto` lines of both formats come in their order, and so do the numbers of those that are in none."""
    made = parser("message_format auto\nwith_priority true", engine)
    lines = [f"<6>{PLAIN}", STRUCTURED, "<6>nothing", "none", STRUCTURED.replace("2013", "201x"), f"<7>{PLAIN}"]
    parsed = made.parse_lines([line.encode() for line in lines], NOW)
    assert [record["pri"] for record in parsed.records] == [6, 16, 7]
    assert parsed.times == [1362052800_000000000, 1362052800_003000000, 1362052800_000000000]
    assert (parsed.numbers, parsed.unmatched) == ([0, 1, 5], [2, 3, 4])
    assert 4 in parsed.errors
    assert [made.parse(lines[number])[0][1] for number in (0, 1, 5)] == parsed.records


@ENGINES
@pytest.mark.parametrize(
    ("conf", "line"),
    [
        ("with_priority true", PLAIN),
        ("with_priority true", "<>" + PLAIN),
        ("with_priority true", ""),
        ("", "Feb 28 12:00:00 nothing"),
        ("message_format rfc5424", "2013-02-28T12:00:00Z h a 1"),
    ],
)
def test_lines_in_another_format(conf: str, line: str, engine: str) -> None:
    """They are not matched, and nothing is wrong."""
    assert both(conf, line, engine) == []


@ENGINES
@pytest.mark.parametrize(
    ("conf", "line"),
    [
        ("", PLAIN.replace("Feb", "Foo")),
        ("", "Foo 28 12:00:00 nothing"),
        ("message_format rfc5424", "garbage"),
        ("message_format rfc5424", ""),
        ("message_format rfc5424\nwith_priority true", "<6>1 - h a 1 - - x"),
    ],
)
def test_lines_with_another_time(conf: str, line: str, engine: str) -> None:
    """One without a time, or with a wrong one, is an error of that line."""
    with pytest.raises(ParseError):
        both(conf, line, engine)


@pytest.mark.parametrize(
    ("conf", "engine", "line", "time"),
    [
        ("time_format %Y-%m-%d %H:%M", "regexp", "2016-06-15 11:39 h k: m", 1465990740_000000000),
        ("time_format %Y-%m-%d %H:%M", "string", "2016-06-15  11:39 h k: m", 1465990740_000000000),
        ("time_format %b %d %H:%M:%S.%N", "string", "Feb 28 12:00:00.5 h k: m", 1362052800_500000000),
        ("time_format %b %d %H:%M:%S.%N", "regexp", "Feb 28 12:00:00.5 h k: m", 1362052800_500000000),
        ("", "regexp", "Feb  8 12:00:00 h k: m", 1360324800_000000000),
        ("", "string", "Feb  8 12:00:00 h k: m", 1360324800_000000000),
        ("time_type unixtime\ntime_format %s", "regexp", "1466000000 h k: m", 1466000000_000000000),
        ("message_format rfc5424\nrfc5424_time_format %s", "regexp", "1466000000 h a 1 - - m", 1466000000_000000000),
        ("message_format rfc5424\ntime_format %Y %m", "string", "2016 06 h a 1 - - m", 1464739200_000000000),
        ("message_format rfc5424\ntime_format %Y %m", "regexp", "2016 06 h a 1 - - m", 1464739200_000000000),
    ],
)
def test_time_formats(conf: str, engine: str, line: str, time: int) -> None:
    """Each format has as many words as it is written with."""
    ((found, record),) = both(conf, line, engine)
    assert (found, record["message"]) == (time, "m")


@ENGINES
def test_keep_time_key(engine: str) -> None:
    """The time's text stays, under the name `time`."""
    ((_, record),) = both("keep_time_key true", PLAIN, engine)
    assert record == {**FIELDS, "message": "[error] Syslog test", "time": "Feb 28 12:00:00"}


def test_fields_are_not_converted() -> None:
    """As in fluentd neither types nor null values have an effect, which is said."""
    ((_, record),) = both("types pid:integer\nnull_empty_string true", "Feb 28 12:00:00  k[7]: m")
    assert record == {"host": "", "ident": "k", "pid": "7", "message": "m"}


@ENGINES
def test_text_that_is_not_utf8(engine: str) -> None:
    """It is bytes in the record."""
    parsed = parser("", engine).parse_lines([PLAIN.encode().replace(b"test", b"t\xff")], NOW)
    assert parsed.records == [{**FIELDS, "message": b"[error] Syslog t\xff"}]


def test_a_line_that_takes_too_long(caplog: pytest.LogCaptureFixture) -> None:
    """A stranger's brackets cannot stall the loop."""
    evil = b"2013-02-28T12:00:00Z" + b" a a a a [" * 4000
    made = parser("message_format rfc5424\ntimeout 0.05")
    parsed = made.parse_lines([evil, b"2013-02-28T12:00:00Z h a 1 - - m"], NOW)
    assert (len(parsed.records), parsed.unmatched) == (1, [0])
    assert "parsing timed out" in caplog.text
