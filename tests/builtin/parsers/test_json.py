"""JSON lines: what orjson reads, what it does not, where the time comes from, and what a bad line leaves alone."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpipe import ParseError
from logpipe.builtin.parsers.json import JsonParser
from logpipe.testing import build, check_plugin

DOCKER = "time_format %Y-%m-%dT%H:%M:%S.%NZ\nutc true"
NOW = 5
STAMP = 1465990770123456789


def docker_line(log: str, time: str = "2016-06-15T11:39:30.123456789Z") -> bytes:
    return orjson.dumps({"log": log, "stream": "stdout", "time": time})


def parse(conf: str, *lines: bytes) -> Any:
    return build(JsonParser, conf).parse_lines(list(lines), NOW)


async def test_keeps_the_contract() -> None:
    """A parser like any other."""
    await check_plugin(JsonParser)


def test_docker_lines() -> None:
    """The time is taken out and read to the nanosecond; the rest is the record."""
    parsed = parse(DOCKER, docker_line("a\n"), docker_line("b\n", "2016-06-15T11:39:30.5Z"))
    assert parsed.times == [STAMP, 1465990770500000000]
    assert parsed.records == [{"log": "a\n", "stream": "stdout"}, {"log": "b\n", "stream": "stdout"}]
    assert parsed.unmatched == []


@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "bad",
    [
        b"not json",
        b"",
        b"1",
        b"null",
        b'"text"',
        b'{"log":',
        b"[1]",
        b"\xff\xfe",
        b'{"time":"yesterday"}',
        b'{"time":null}',
        b'{"time":1466000000}',
        b'{"time":{}}',
        b"[" * 100_000,
    ],
)
def test_a_bad_line_leaves_the_others_alone(bad: bytes, place: int) -> None:
    """Whatever is wrong with a line, those before and after it become events, and its number is told."""
    lines = [docker_line("a"), docker_line("b"), docker_line("c")]
    lines.insert(place, bad)
    parsed = parse(DOCKER, *lines)
    assert [record["log"] for record in parsed.records] == ["a", "b", "c"]
    assert parsed.times == [STAMP] * 3
    assert parsed.unmatched == [place]


@pytest.mark.parametrize(
    "halves",
    [
        (b'{"time":[{"a":1}', b'{"b":1}]}', b"{},0,{}"),
        (b"[1", b"2]", b"3,4"),
        (b'{"a":"x', b'y"}', b"{},{}"),
        (b"{},0", b"0,{}", b""),
        (b'{"a":1}', b"", b"{}]", b"[{}"),
    ],
)
def test_no_line_ends_what_another_has_begun(halves: tuple[bytes, ...]) -> None:
    """Lines are read many at once, and yet each stands for itself."""
    alone = [number for number, line in enumerate(halves) if parse("", line).unmatched]
    assert parse("", *halves).unmatched == alone != []
    parsed = parse("", b'{"first":1}', *halves, b'{"last":1}')
    assert (parsed.records[0], parsed.records[-1]) == ({"first": 1}, {"last": 1})
    assert parsed.unmatched == [number + 1 for number in alone]


@pytest.mark.parametrize("place", range(4090, 4102))
def test_a_huge_number_at_any_place(place: int) -> None:
    """Wherever it stands, it is found: the least there is has nineteen digits."""
    huge = -(2**63) - 1
    lines = [b'{"a":"%b"}' % (b"x" * (place - 12)), b'{"n":%d}' % huge, b'{"n":0.25}']
    assert parse("", *lines).records[1:] == [{"n": huge}, {"n": 0.25}]


def test_many_bad_lines() -> None:
    """Numbers of bad lines come in order, each once."""
    lines = [b"x", docker_line("a"), b'{"time":0}', b'[{"time":0},1,{"time":1}]', b"y", docker_line("b")]
    parsed = parse(DOCKER, *lines)
    assert [record["log"] for record in parsed.records] == ["a", "b"]
    assert parsed.unmatched == [0, 2, 3, 4]


@pytest.mark.parametrize(
    ("line", "record"),
    [
        (b'{"ctl":"a\tb\x01"}', {"ctl": "a\tb\x01"}),
        (b'{"n":NaN,"i":-Infinity}', {"n": math.nan, "i": -math.inf}),
        (b'{"s":"\\ud800"}', {"s": "\ud800"}),
        (b'{"s":"\\ud83d\\ude00"}', {"s": "\U0001f600"}),
        (b'{"s":"a\xffb"}', {"s": b"a\xffb"}),
        (b'{"s":"a\xff","t":{"u":["\xe9t\xe9",1]},"v":"w"}', {"s": b"a\xff", "t": {"u": [b"\xe9t\xe9", 1]}, "v": "w"}),
        (b'{"s":"\\udcff\xff","t":"\\udcff"}', {"s": b"\xed\xb3\xbf\xff", "t": b"\xed\xb3\xbf"}),
        (b'{"s":"\\ud83d\\ude00\\\\udcff\xff"}', {"s": "\U0001f600\\udcff".encode() + b"\xff"}),
        (b'{"k\xff":"\\n"}', {"k\ufffd": "\n"}),
        (b'{"n":18446744073709551615}', {"n": 18446744073709551615}),
        (b'{"n":18446744073709551616}', {"n": 18446744073709551616}),
        (b'{"n":-9223372036854775808}', {"n": -9223372036854775808}),
        (b'{"n":-9223372036854775809}', {"n": -9223372036854775809}),
        (b'{"n":1234567890123456789012345678901234567890}', {"n": 1234567890123456789012345678901234567890}),
        (b'{"a":[1,{"n":1180591620717411303424}]}', {"a": [1, {"n": 2**70}]}),
        (b'{"f":1180591620717411303424.5}', {"f": 1180591620717411303424.5}),
        (b'{"s":"12345678901234567890123","f":1.5}', {"s": "12345678901234567890123", "f": 1.5}),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b' {"a":1} \r', {"a": 1}),
        (b"{}", {}),
    ],
)
def test_what_orjson_refuses_or_changes(line: bytes, record: dict[str, Any]) -> None:
    """Such lines are read by Python's parser, alone and among others, and by both ways of parsing."""
    parser = build(JsonParser)
    for lines in ([line], [b'{"first":1}', line, b'{"last":1}'], [b"bad", b"[]", line]):
        parsed = parser.parse_lines(lines, NOW)
        assert repr(record) in [repr(found) for found in parsed.records]
    ((_, one),) = parser.parse(line.decode("utf-8", "surrogateescape"))
    assert repr(one) == repr(record)


@pytest.mark.parametrize(
    ("line", "records", "unmatched"),
    [
        (b"[]", [], []),
        (b'[{"a":1},{"b":2}]', [{"a": 1}, {"b": 2}], []),
        (b'[{"a":1},2,{"b":3}]', [{"a": 1}, {"b": 3}], [0]),
        (b"[[]]", [], [0]),
    ],
)
def test_arrays(line: bytes, records: list[Any], unmatched: list[int]) -> None:
    """An array is as many events as it holds objects; anything else in it makes the line unmatched as well."""
    parsed = parse("", line)
    assert parsed.records == records
    assert parsed.times == [NOW] * len(records)
    assert parsed.unmatched == unmatched
    assert [record for _, record in build(JsonParser).parse(line.decode())] == records


@pytest.mark.parametrize(
    ("conf", "line", "time", "record"),
    [
        ("", b'{"time":1466000000.25,"a":1}', 1466000000250000000, {"a": 1}),
        ("", b'{"time":"2016-06-15T11:39:30Z"}', 2016000000000, {}),
        ("", b'{"a":1}', NOW, {"a": 1}),
        ("time_type unixtime\ntime_key t", b'{"t":1466000000.9,"time":1}', 1466000000000000000, {"time": 1}),
        ("time_type string", b'{"time":"2016-06-15T11:39:30.123456789Z"}', STAMP, {}),
        ("keep_time_key true", b'{"time":1466000000}', 1466000000000000000, {"time": 1466000000}),
        ("time_format %s\nkeep_time_key true", b'{"a":1}', NOW, {"a": 1}),
        ("time_format %Y-%m-%d\ntimezone +09:00", b'{"time":"2016-06-15"}', 1465916400000000000, {}),
    ],
)
def test_time(conf: str, line: bytes, time: int, record: dict[str, Any]) -> None:
    """A time is a number unless there is a format; a line without one gets the current time."""
    parsed = parse(conf, line)
    assert (parsed.times, parsed.records) == ([time], [record])


def test_time_of_a_single_line() -> None:
    """Asked for one line, a missing time is the clock's, or left to the caller, and a wrong one is an error."""
    assert build(JsonParser).parse('{"a":1}') == [(1_466_000_000_000_000_000, {"a": 1})]
    assert build(JsonParser, "estimate_current_event false").parse('{"a":1}') == [(None, {"a": 1})]
    with pytest.raises(ParseError, match="value must be a string or a number"):
        build(JsonParser).parse('{"time":null}')
    assert build(JsonParser).parse("not json") == []


def test_types() -> None:
    """Fields are converted after the time was taken out; one that is kept is converted too."""
    parsed = parse("types n:integer,time:string\nkeep_time_key true", b'{"n":"12","time":1466000000}', b'{"n":null}')
    assert parsed.records == [{"n": 12, "time": "1466000000"}, {"n": None}]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(values=st.lists(VALUES, max_size=6))
def test_agrees_with_pythons_parser(values: list[Any]) -> None:
    """Objects come through as Python's parser reads them, whatever else is in the batch."""
    lines = [json.dumps(value).encode() for value in values]
    expected = []
    for value in values:
        expected += [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]
    parser = build(JsonParser, "time_key there-is-no-such-key")
    assert repr(parser.parse_lines(lines, NOW).records) == repr(expected)
