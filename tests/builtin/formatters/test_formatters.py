"""Records as bytes: both ways of each formatter, and the values that JSON writers stumble over."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpipe import ConfigError, EventBatch, Formatter
from logpipe.builtin.formatters.json import JsonFormatter
from logpipe.builtin.formatters.out_file import OutFileFormatter
from logpipe.builtin.formatters.single_value import SingleValueFormatter
from logpipe.builtin.formatters.stdout import StdoutFormatter
from logpipe.testing import build, check_plugin

TIME = 1466000000_123456789
ALL = [JsonFormatter, OutFileFormatter, SingleValueFormatter, StdoutFormatter]


@pytest.fixture(autouse=True)
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in a zone that is not UTC, so that the two cannot be mistaken for each other."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("cls", ALL)
async def test_keep_the_contract(cls: type[Formatter[Any]]) -> None:
    """Formatters like any other."""
    await check_plugin(cls)


def formatted(cls: type[Formatter[Any]], conf: str, record: dict[str, Any]) -> bytes:
    """Return what both ways of a formatter make of a record."""
    formatter = build(cls, conf)
    failed: list[Exception] = []
    batch = EventBatch("tag.a", [TIME, TIME], [record, record])
    payloads = formatter.format_batch(batch, lambda _, error: failed.append(error))
    assert not failed
    assert payloads == [formatter.format("tag.a", TIME, record)] * 2
    result: bytes = payloads[0]
    return result


@pytest.mark.parametrize(
    ("cls", "conf", "expected"),
    [
        (JsonFormatter, "", b'{"message":"hi","n":1}\n'),
        (JsonFormatter, "add_newline false", b'{"message":"hi","n":1}'),
        (JsonFormatter, "newline crlf\njson_parser json", b'{"message":"hi","n":1}\r\n'),
        (OutFileFormatter, "", b'2016-06-15T23:13:20+09:00\ttag.a\t{"message":"hi","n":1}\n'),
        (OutFileFormatter, "utc true", b'2016-06-15T14:13:20Z\ttag.a\t{"message":"hi","n":1}\n'),
        (OutFileFormatter, "timezone +0000", b'2016-06-15T14:13:20+00:00\ttag.a\t{"message":"hi","n":1}\n'),
        (
            OutFileFormatter,
            "delimiter comma\noutput_tag false\ntime_type unixtime",
            b'1466000000,{"message":"hi","n":1}\n',
        ),
        (OutFileFormatter, "delimiter a space\noutput_time false", b'tag.a {"message":"hi","n":1}\n'),
        (OutFileFormatter, "time_type float\nnewline crlf", b'1466000000.123456789\ttag.a\t{"message":"hi","n":1}\r\n'),
        (SingleValueFormatter, "", b"hi\n"),
        (SingleValueFormatter, "message_key n\nadd_newline false", b"1"),
        (SingleValueFormatter, "message_key none", b"\n"),
        (StdoutFormatter, "", b'2016-06-15 23:13:20.123456789 +0900 tag.a: {"message":"hi","n":1}\n'),
        (StdoutFormatter, "time_format %H:%M\nutc true", b'23:13 tag.a: {"message":"hi","n":1}\n'),
        (
            StdoutFormatter,
            "output_type hash",
            b'2016-06-15 23:13:20.123456789 +0900 tag.a: {"message"=>"hi", "n"=>1}\n',
        ),
        (
            StdoutFormatter,
            "output_type ltsv\nlabel_delimiter =",
            b"2016-06-15 23:13:20.123456789 +0900 tag.a: message=hi\tn=1\n",
        ),
        (StdoutFormatter, "output_type single_value\nadd_newline false\ntime_format %H", b"23 tag.a: hi\n"),
    ],
)
def test_settings(cls: type[Formatter[Any]], conf: str, expected: bytes) -> None:
    """What each setting does to one event; stdout prints local time, whatever is set."""
    assert formatted(cls, conf, {"message": "hi", "n": 1}) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, b"null"),
        (True, b"true"),
        (1.5, b"1.5"),
        ("日本", '"日本"'.encode()),
        ('"\\\n\t', rb'"\"\\\n\t"'),
        ("\ud800", rb'"\ud800"'),
        ("a\ud800\U0001f600", '"a\\ud800😀"'.encode()),
        (2**64 - 1, b"18446744073709551615"),
        (2**70, b"1180591620717411303424"),
        (-(2**70), b"-1180591620717411303424"),
        (math.nan, b"null"),
        (math.inf, b"null"),
        (b"a\xff", '"a\ufffd"'.encode()),
        ({1: "x", None: "y", b"k": 2**70}, b'{"1":"x","None":"y","k":1180591620717411303424}'),
        ([2**70, math.nan, (1, 2)], b"[1180591620717411303424,null,[1,2]]"),
        ({2**70}, b'"{1180591620717411303424}"'),
    ],
)
def test_values(value: Any, text: bytes) -> None:
    """Whatever a record may hold is written, and as readable as can be."""
    assert formatted(JsonFormatter, "", {"k": value}) == b'{"k":' + text + b"}\n"


def test_a_bad_record_leaves_the_others_alone() -> None:
    """A record that cannot be written is told with its place; its neighbours are written."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    failed: list[tuple[int, Exception]] = []
    for cls in (JsonFormatter, OutFileFormatter, StdoutFormatter):
        batch = EventBatch("t", [0, 0, 0], [{"a": 1}, {"deep": deep}, {"a": 2**70}])
        payloads = build(cls).format_batch(batch, lambda index, error: failed.append((index, error)))
        assert [bool(payload) for payload in payloads] == [True, False, True]
    assert [index for index, _ in failed] == [1, 1, 1]
    while deep:  # taken apart by hand: Python's own way down is as deep
        deep = deep.pop()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(record=st.dictionaries(st.text(), JSON, max_size=4))
def test_json_is_read_back(record: dict[str, Any]) -> None:
    """What is written is read back as the same values, lone surrogates and large numbers included."""
    assert json.loads(formatted(JsonFormatter, "", record)) == record


def test_unknown_output_type() -> None:
    """A word that is no formatter is refused at start, and so is the formatter itself, which would never end."""
    with pytest.raises(ConfigError, match="output_type stdout would never come to the record: write json"):
        build(StdoutFormatter, "output_type stdout")


def test_an_output_type_with_settings() -> None:
    """Those of a formatter that is named stand in the same section, and it says what is bad for it."""
    conf = "output_type csv\nfields n,message\ndelimiter ;\ntime_format %Y"
    assert formatted(StdoutFormatter, conf, {"message": "hi", "n": 1}) == b'2016 tag.a: "1";"hi"\n'
    with pytest.raises(ConfigError, match='"fields" is required'):
        build(StdoutFormatter, "output_type csv")
    failed: list[int] = []
    deep: list[Any] = []
    for _ in range(2000):
        deep = [deep]
    batch = EventBatch("t", [0, 0, 0], [{"a": "x"}, {"a": deep}, {"a": ""}])
    formatter = build(StdoutFormatter, "output_type msgpack\ntime_format %Y")
    lines = formatter.format_batch(batch, lambda index, _: failed.append(index))
    assert (lines, failed) == ([b"1970 t: \x81\xa1a\xa1x\n", b"", b"1970 t: \x81\xa1a\xa0\n"], [1])
