"""multi_format, grok, multiline_grok, kubernetes, multiline_kubernetes, logfmt."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from logpipe import ConfigError, InvalidSetting, ParseError
from logpipe.ruby import compile_regexp
from logpipe.testing import build, check_plugin, configure, pipeline
from logpipe_community.grok.ecs import ECS
from logpipe_community.grok.expansion import MOST_NAMES, expand
from logpipe_community.grok.parser import GrokParser, MultilineGrokParser
from logpipe_community.grok.patterns import LEGACY
from logpipe_community.parser_kubernetes import KubernetesParser, MultilineKubernetesParser
from logpipe_community.parser_logfmt import LogfmtParser
from logpipe_community.parser_multi_format import MultiFormatParser

ACCESS = (
    '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326 "http://x/start" "Mozilla/4.08 [en]"'
)
KLOG = "I0204 07:32:30.020537    3368 server.go:48] Listening"
BOTH = (
    "<pattern>\nformat json\n</pattern>\n<pattern>\nformat /^(?<time>\\S+) (?<log>.*)$/\ntime_format %Y\n</pattern>\n"
)


def records(parser: Any, *lines: str) -> list[dict[str, Any]]:
    """Return what both ways of a parser make of lines, which is the same."""
    parsed = parser.parse_lines([line.encode() for line in lines], 7)
    singly = [record for line in lines for _, record in parser.parse(line)]
    assert parsed.records == singly
    return list(parsed.records)


def test_the_first_format_that_fits() -> None:
    """A line whose time one cannot read is given to the next; what no parser knows is unmatched."""
    parser = build(MultiFormatParser, f"format_key f\n{BOTH}<pattern>\nformat none\nformat_name rest\n</pattern>\n")
    assert records(parser, '{"a":1}', "2001 x", "noyear x") == [
        {"a": 1, "f": "json#0"},
        {"log": "x", "f": "/^(?<time>\\S+) (?<log>.*)$/#1"},
        {"message": "noyear x", "f": "rest"},
    ]
    parsed = build(MultiFormatParser, BOTH).parse_lines([b"noyear", b'{"a":2}', b"2001 \xff"], 7)
    assert (parsed.records, parsed.unmatched, parsed.numbers) == ([{"a": 2}, {"log": b"\xff"}], [0], [1, 2])
    assert parsed.times[0] == 7


def test_a_field_that_is_no_text_has_a_format_too() -> None:
    """By the first parser that takes it."""
    patterns = "format_key f\n<pattern>\nformat logfmt\n</pattern>\n"
    with pytest.raises(ParseError):
        build(MultiFormatParser, patterns).parse_value(5)
    parser = build(MultiFormatParser, f"{patterns}<pattern>\nformat none\n</pattern>\n")
    assert [record for _, record in parser.parse_value(5)] == [{"message": 5, "f": "none#1"}]


@pytest.mark.parametrize(
    "text",
    [
        f"<parse>\n@type multi_format\n{BOTH}</parse>\n",
        f"format multi_format\n{BOTH}",
        f"<parse>\n@type multi_format\n{BOTH.replace('pattern>', 'format>')}</parse>\n",
    ],
)
async def test_multi_format_in_a_filter(text: str) -> None:
    """In today's spelling, in 0.12's, and with the old name of the sections."""
    conf = f"<filter **>\n@type parser\nkey_name log\n{text}</filter>\n<match **>\n@type test\n</match>\n"
    async with pipeline(conf) as running:
        await running.feed("t", {"log": '{"a":1}'}, {"log": "2001 x"}, {"log": "noyear"})
        assert running.records() == [{"a": 1}, {"log": "x"}]
        assert len(running.errors) == 1
        assert [each for each in running.warnings if "not used" in str(each)] == []


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ("<pattern>\nformat nope\n</pattern>", 'unknown parser plugin "nope"'),
        ("<pattern>\nformat /(?<a>/\n</pattern>", "expression"),
        ("<pattern>\ntime_key t\n</pattern>", "format"),
    ],
)
async def test_multi_format_that_cannot_work(conf: str, message: str) -> None:
    """Each parser's settings are checked, with their places."""
    with pytest.raises(ConfigError) as raised:
        async with pipeline(f"<source>\n@type udp\ntag t\n<parse>\n@type multi_format\n{conf}\n</parse>\n</source>\n"):
            pass
    assert message in str(raised.value)
    assert "test.conf:" in str(raised.value)


@pytest.mark.parametrize(
    ("pattern", "line", "expected"),
    [
        ("%{IP:ip} %{NUMBER:n:float}", "10.1.2.3 1.5", {"ip": "10.1.2.3", "n": 1.5}),
        ("%{INT:n:integer} %{WORD:b:bool}", "-5 true", {"n": -5, "b": True}),
        ("%{IP:ip}", "2001:db8::8:800:200c:417a", {"ip": "2001:db8::8:800:200c:417a"}),
        ("^%{IP:ip}$", "::ffff:1.2.3.4", {"ip": "::ffff:1.2.3.4"}),
        ("^%{IPV4:ip}$", "256.1.1.1", None),
        ("%{TIMESTAMP_ISO8601:t} - %{LOGLEVEL:l} - %{GREEDYDATA:m}", "2020-01-02T03:04:05Z - WARN - x y",
         {"t": "2020-01-02T03:04:05Z", "l": "WARN", "m": "x y"}),
        ("%{DATESTAMP:d}", "05/12/2020 03:04:05", {"d": "05/12/2020 03:04:05"}),
        ("a %{DATA:[x][y]} b", "a 1 b", {"x.y": "1"}),
        ("%{QS:q}", 'x "a \\" b" y', {"q": '"a \\" b"'}),
        ("%{URI:u}", "see http://u:p@h.example:80/a/b?c=d&e now",
         {"u": "http://u:p@h.example:80/a/b?c=d&e", "port": "80"}),
        ("%{PATH:p}", "at /var/log/a.log", {"p": "/var/log/a.log"}),
        ("%{MAC:m} %{UUID:u}", "00:1a:2B:3c:4d:5e 01234567-89ab-cdef-0123-456789ABCDEF",
         {"m": "00:1a:2B:3c:4d:5e", "u": "01234567-89ab-cdef-0123-456789ABCDEF"}),
        ("%{SYSLOGLINE}", "Jan  2 03:04:05 h.example sshd[42]: hi there",
         {"timestamp": "Jan  2 03:04:05", "logsource": "h.example",
          "program": "sshd", "pid": "42", "message": "hi there"}),
        ("%{EMAILADDRESS:e} %{HOSTPORT:h}", "a.b@c.example h:80", {"e": "a.b@c.example", "h": "h:80"}),
        ("%{TOMCATLOG}", "2014-01-09 20:03:28,269 -0800 | ERROR | com.x.S - no",
         {"timestamp": "2014-01-09 20:03:28,269 -0800", "level": "ERROR", "class": "com.x.S", "logmessage": "no"}),
    ],
)  # fmt: skip
def test_patterns(pattern: str, line: str, expected: dict[str, Any] | None) -> None:
    """The usual names, and types; what does not match is a message."""
    parser = build(GrokParser, f"grok_pattern {pattern}\ntime_key nope\n")
    assert records(parser, line) == [expected or {"message": line}]


@pytest.mark.parametrize(
    "text",
    [
        "<parse>\n@type grok\ngrok_pattern %{INT:n:integer}\ngrok_failure_key why\n</parse>\n",
        "format grok\ngrok_pattern %{INT:n:integer}\ngrok_failure_key why\n",
        "format grok\n<grok>\npattern %{INT:n:integer}\n</grok>\ngrok_failure_key why\n",
        "format multiline_grok\ngrok_pattern %{INT:n:integer}\nmultiline_start_regexp /^/\ngrok_failure_key why\n",
    ],
)
async def test_grok_in_a_filter(text: str) -> None:
    """In today's spelling, and in 0.12's."""
    conf = f"<filter **>\n@type parser\nkey_name log\n{text}</filter>\n<match **>\n@type test\n</match>\n"
    async with pipeline(conf) as running:
        await running.feed("t", {"log": "5"}, {"log": "no"})
        assert running.records() == [{"n": 5}, {"message": "no", "why": "No grok pattern matched"}]
        assert [each for each in running.warnings if each.severity != "hint"] == []


def test_access_logs() -> None:
    """Of both series."""
    (record,) = records(build(GrokParser, "grok_pattern %{COMBINEDAPACHELOG}\n"), ACCESS)
    assert record == {
        "clientip": "127.0.0.1", "ident": "-", "auth": "frank", "timestamp": "10/Oct/2000:13:55:36 -0700",
        "verb": "GET", "request": "/a.gif", "httpversion": "1.0", "response": "200", "bytes": "2326",
        "referrer": '"http://x/start"', "agent": '"Mozilla/4.08 [en]"',
    }  # fmt: skip
    conf = "grok_pattern %{HTTPD_COMBINEDLOG}\ngrok_pattern_series ecs-v1\n"
    (record,) = records(build(GrokParser, conf), ACCESS)
    assert record["source.address"] == "127.0.0.1"
    assert record["http.response.status_code"] == 200
    assert record["user_agent.original"] == "Mozilla/4.08 [en]"


@pytest.mark.parametrize("series", [LEGACY, {name: text for name, text in ECS.items() if LEGACY[name] != text}])
def test_every_pattern_is_an_expression(series: dict[str, str]) -> None:
    """Also where it leads to others; those that others lead to are compiled with these."""
    inner = {name for text in series.values() for name in re.findall(r"%\{(\w+)", text)}
    for name in series.keys() - inner:
        compile_regexp(expand(f"%{{{name}}}", LEGACY if series is LEGACY else ECS)[0])


def test_sections_are_tried_in_turn() -> None:
    """Each has its time; names and failures are written where they are asked for."""
    parser = build(
        GrokParser,
        "grok_name_key by\ngrok_failure_key why\n"
        "<grok>\nname web\npattern %{IP:ip} at %{GREEDYDATA:t}\ntime_key t\ntime_format %Y-%m-%d %z\n"
        "keep_time_key true\n"
        "</grok>\n<grok>\npattern %{INT:n:integer}\n</grok>\n",
    )
    found = parser.parse_lines([b"1.1.1.1 at 1970-01-02 +0000", b"x 5", b"nothing", b"\xff"], 7)
    assert found.records == [
        {"ip": "1.1.1.1", "t": "1970-01-02 +0000", "by": "web"},
        {"n": 5, "by": 1},
        {"message": "nothing", "why": "No grok pattern matched"},
        {"message": b"\xff", "why": "No grok pattern matched"},
    ]
    assert found.times == [86_400_000_000_000, 7, 7, 7]
    broken = parser.parse_lines([b"1.1.1.1 at noon", b"5"], 7)
    assert (broken.unmatched, broken.records, list(broken.errors)) == ([0], [{"n": 5, "by": 1}], [0])


def test_patterns_of_ones_own(tmp_path: Path) -> None:
    """From a file, or all files of a folder."""
    (tmp_path / "a").write_text("# mine\nORDER  [A-Z]{3}-%{DIGITS}\n\nDIGITS \\d+\n")
    (tmp_path / "b").write_text("SHIP\tyes|no\n")
    conf = "grok_pattern %{ORDER:order}( %{SHIP:ship})?\ncustom_pattern_path "
    assert records(build(GrokParser, f"{conf}{tmp_path}\n"), "ABC-42 no") == [{"order": "ABC-42", "ship": "no"}]
    with pytest.raises(InvalidSetting, match=r"grok pattern not found: %\{SHIP\}"):
        build(GrokParser, f"{conf}{tmp_path / 'a'}\n")
    with pytest.raises(InvalidSetting, match=r"not found"):
        build(GrokParser, f"{conf}{tmp_path / 'none'}\n")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["A x%{B}", "B %{C:c}", "C %{B}"], "%{B} leads to itself: B to C to B"),
        (["A %{A}%{A}"], "%{A} leads to itself: A to A"),
        (["A %{A9}", *(f"A{n} %{{A{n - 1}}}%{{A{n - 1}}}" for n in range(1, 10)), "A0 x"], f"than {MOST_NAMES} names"),
        (["A %{A199}", *(f"A{n} %{{A{n - 1}}}" for n in range(1, 200)), "A0 x"], "within one another"),
    ],
)
def test_patterns_that_lead_to_too_many(tmp_path: Path, lines: list[str], message: str) -> None:
    """Are refused, those that lead to themselves with their names."""
    (tmp_path / "a").write_text("\n".join(lines))
    with pytest.raises(InvalidSetting) as raised:
        build(GrokParser, f"grok_pattern %{{A:a}}\ncustom_pattern_path {tmp_path}\n")
    assert message in str(raised.value)


def test_a_line_that_takes_too_long() -> None:
    """Is a message, as one that no pattern matches; the others are read."""
    parser = build(GrokParser, "timeout 0.02\n<grok>\npattern ^(?<a>(x+)+)$\n</grok>\n")
    line = "x" * 40 + "!"
    assert parser.parse_lines([line.encode(), b"xx"], 7).records == [{"message": line}, {"a": "xx"}]


def test_patterns_that_cannot_work() -> None:
    """What makes no expression, or no field, is refused."""
    for pattern, message in (("%{WORD", "no fields"), ("%{WORD:a}(", "makes no expression"), ("%{WORD}", "no fields")):
        with pytest.raises(InvalidSetting, match=message):
            build(GrokParser, f"grok_pattern {pattern}\n")
    with pytest.raises(ConfigError, match="no grok patterns"):
        configure(GrokParser)


def test_events_of_several_lines() -> None:
    """Begin where the expression says; a dot matches newlines."""
    parser = build(MultilineGrokParser, "grok_pattern ^%{IP:ip} %{GREEDYDATA:m}\nmultiline_start_regexp /^\\d/\n")
    joined = parser.join([b"x", b"1.1.1.1 a", b" b", b"2.2.2.2 c"])
    assert (joined.alone, joined.ends) == (1, [3])
    assert records(parser, "1.1.1.1 a\n b") == [{"ip": "1.1.1.1", "m": "a\n b"}]
    assert build(MultilineGrokParser, "grok_pattern %{IP:ip}\n").join is None


def test_lines_of_kubernetes_programs() -> None:
    """As klog writes them, with the time of this year."""
    expected = {"severity": "I", "pid": "3368", "source": "server.go:48", "message": "Listening"}
    for cls in (KubernetesParser, MultilineKubernetesParser):
        (record,) = records(build(cls), KLOG)
        assert record == expected
    parser = build(KubernetesParser, "keep_time_key true\n")
    assert records(parser, KLOG) == [expected | {"time": "0204 07:32:30.020537"}]
    assert parser.parse_lines([b"no klog", f"{KLOG}\n more".encode()], 7).unmatched == [0]
    joined = build(MultilineKubernetesParser).join([KLOG.encode(), b" more", KLOG.encode()])
    assert (joined.alone, joined.ends) == (0, [2])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("at=info n=3 f=-1.5e3 done", {"at": "info", "n": 3, "f": -1500.0, "done": True}),
        ('msg="a \\"b\\" c" x=y', {"msg": 'a "b" c', "x": "y"}),
        ('a= b="" c=', {"a": True, "b": "", "c": True}),
        ("u=http://x?a=b v=1a", {"u": "http://x?a=b", "v": "1a"}),
        ('a=b"c" d', {"a": "b", "c": True, "d": True}),
        ("a=1 a=2", {"a": 2}),
        ("a=.5 b=5. c=-7", {"a": 0.5, "b": "5.", "c": -7}),
        (
            f"a={'1' * 200_000}x b={'1' * 301} c={'1' * 300}",
            {"a": f"{'1' * 200_000}x", "b": "1" * 301, "c": int("1" * 300)},
        ),
    ],
)
def test_logfmt(line: str, expected: dict[str, Any]) -> None:
    """Pairs; numbers are numbers, and names alone are true."""
    assert records(build(LogfmtParser), line) == [expected]


def test_logfmt_that_is_none() -> None:
    """Is unmatched; the time is taken from its field."""
    parser = build(LogfmtParser, "time_format %Y\nutc true\n")
    found = parser.parse_lines([b"", b'="', b'time="1970" a=\xff'], 7)
    assert (found.unmatched, found.records, found.times) == ([0, 1], [{"a": b"\xff"}], [0])


@pytest.mark.parametrize(
    ("cls", "conf"),
    [
        (GrokParser, "grok_pattern %{IP:ip}"),
        (MultilineGrokParser, "grok_pattern %{IP:ip}"),
        (MultiFormatParser, BOTH),
        (KubernetesParser, ""),
        (MultilineKubernetesParser, ""),
        (LogfmtParser, ""),
    ],
)
async def test_keep_what_every_plugin_promises(cls: Any, conf: str) -> None:
    """Each of them."""
    await check_plugin(cls, conf)
