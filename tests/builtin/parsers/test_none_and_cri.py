"""Lines as they are, and the kubelet's lines."""

from __future__ import annotations

import pytest

from logpipe import ConfigError, ParseError
from logpipe.builtin.parsers.cri import CriParser
from logpipe.builtin.parsers.none import NoneParser
from logpipe.testing import build, check_plugin

NOW = 5
CRI = b"2020-10-10T00:10:00.333333333Z stdout F Hello Fluentd"
CRI_TIME = 1602288600333333333
JSON = "<parse>\n@type json\ntime_key time\ntime_format %Y-%m-%dT%H:%M:%S.%L%z\n</parse>\n"


async def test_keep_the_contract() -> None:
    """Parsers like any other."""
    await check_plugin(NoneParser)
    await check_plugin(CriParser)
    await check_plugin(CriParser, JSON)


def test_none_keeps_the_line() -> None:
    """The whole line is one field; one that is not UTF-8 is kept as bytes."""
    parsed = build(NoneParser, "message_key log").parse_lines([b" a ", b"", b"\xff"], NOW)
    assert parsed.records == [{"log": " a "}, {"log": ""}, {"log": b"\xff"}]
    assert parsed.times == [NOW] * 3
    assert build(NoneParser).parse("x") == [(1_466_000_000_000_000_000, {"message": "x"})]
    assert build(NoneParser, "estimate_current_event false").parse("x") == [(None, {"message": "x"})]


@pytest.mark.parametrize(
    ("conf", "line", "record"),
    [
        (
            "",
            CRI,
            {
                "stream": "stdout",
                "logtag": "F",
                "message": "Hello Fluentd",
                "time": "2020-10-10T00:10:00.333333333Z",
            },
        ),
        ("keep_time_key false", CRI, {"stream": "stdout", "logtag": "F", "message": "Hello Fluentd"}),
        (
            "keep_time_key false",
            CRI.replace(b" F Hello", b" P    Hello"),
            {"stream": "stdout", "logtag": "P", "message": "   Hello Fluentd"},
        ),
        ("keep_time_key false", CRI[:40], {"stream": "stdout", "logtag": "F", "message": ""}),
        (
            "keep_time_key false\ntime_key message",
            CRI,
            {"stream": "stdout", "logtag": "F", "message": "Hello Fluentd"},
        ),
        ("time_key message", CRI, {"stream": "stdout", "logtag": "F", "message": "2020-10-10T00:10:00.333333333Z"}),
    ],
)
def test_cri_lines(conf: str, line: bytes, record: dict[str, str]) -> None:
    """Time, stream, logtag and message; partial lines, leading spaces and empty messages come as they are."""
    parser = build(CriParser, conf)
    parsed = parser.parse_lines([line], NOW)
    assert (parsed.times, parsed.records, parsed.unmatched) == ([CRI_TIME], [record], [])
    assert parser.parse(line.decode()) == [(CRI_TIME, record)]


@pytest.mark.parametrize("conf", ["", JSON])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("bad", [b"", b"one two three", b"\xff", b"nonsense stdout F {1}"])
def test_cri_bad_lines_leave_the_others_alone(conf: str, bad: bytes, place: int) -> None:
    """A line of another shape, or with another time, is told by its number."""
    lines = [CRI.replace(b"Hello Fluentd", b'{"a":1}')] * 2
    lines.insert(place, bad)
    parsed = build(CriParser, conf).parse_lines(lines, NOW)
    assert len(parsed.records) == len(parsed.times) == 2
    assert parsed.unmatched == [place]


def test_cri_wrong_time() -> None:
    """Asked for one line, a wrong time is an error and another shape is no event."""
    with pytest.raises(ParseError):
        build(CriParser).parse("yesterday stdout F x")
    assert build(CriParser).parse("one two three") == []


MESSAGE = b'{"foo":"bar","num":100,"time":"2020-11-11T00:11:00.111111111Z"}'


@pytest.mark.parametrize(
    ("conf", "record"),
    [
        (JSON, {"foo": "bar", "num": 100, "stream": "stdout", "logtag": "F"}),
        (f"merge_cri_fields false\n{JSON}", {"foo": "bar", "num": 100}),
    ],
)
def test_cri_message_parsed(conf: str, record: dict[str, object]) -> None:
    """The message's own time counts, and stream and logtag are added unless told otherwise."""
    line = CRI.replace(b"Hello Fluentd", MESSAGE)
    parser = build(CriParser, conf)
    assert parser.parse_lines([line, line], NOW).records == [record, record]
    assert parser.parse(line.decode()) == [(1605053460111111111, record)]


def test_cri_message_of_several_events() -> None:
    """Each event gets the stream of its own line; of an array the last event counts."""
    lines = [
        CRI.replace(b"Hello Fluentd", b'[{"n":1},{"n":2}]'),
        CRI.replace(b"stdout F Hello Fluentd", b'stderr P {"n":3}'),
        CRI.replace(b"Hello Fluentd", b"no json"),
    ]
    parsed = build(CriParser, JSON).parse_lines(lines, NOW)
    assert parsed.records == [
        {"n": 2, "stream": "stdout", "logtag": "F"},
        {"n": 3, "stream": "stderr", "logtag": "P"},
    ]
    assert parsed.unmatched == [2]


def test_cri_unknown_inner_parser() -> None:
    """The inner section's mistakes are found at start."""
    with pytest.raises(ConfigError, match='"expression" is required'):
        build(CriParser, "<parse>\n@type regexp\n</parse>")


def test_messages_of_several_events_and_of_none() -> None:
    """Each event gets the fields of its own line, though there are as many events as lines."""
    lines = [CRI.replace(b"Hello Fluentd", text) for text in (b"[]", b'[{"a":1},{"a":2}]', b'{"a":3}')]
    lines[2] = lines[2].replace(b"stdout F", b"stderr P")
    parsed = build(CriParser, JSON).parse_lines(lines, NOW)
    assert parsed.records == [
        {"a": 2, "stream": "stdout", "logtag": "F"},
        {"a": 3, "stream": "stderr", "logtag": "P"},
    ]
