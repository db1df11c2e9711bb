"""Messages in MessagePack."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from logpipe import ParseError
from logpipe.builtin.parsers.msgpack import MsgpackParser
from logpipe.testing import build, check_plugin

NOW = 5
EVENT_TIME = msgpack.ExtType(0, bytes((0, 0, 0, 7, 0, 0, 0, 5)))


async def test_keeps_the_contract() -> None:
    """A parser like any other."""
    await check_plugin(MsgpackParser)


@pytest.mark.parametrize(
    ("value", "records"),
    [
        ({"a": 1, "b": [None, 1.5, {"c": True}]}, [{"a": 1, "b": [None, 1.5, {"c": True}]}]),
        ([{"a": 1}, {"b": 2}], [{"a": 1}, {"b": 2}]),
        ([{"a": 1}, 5], [{"a": 1}]),
        ({"a": b"x", "b": [b"\xff"], "c": {"d": b"y"}}, [{"a": "x", "b": [b"\xff"], "c": {"d": "y"}}]),
        ({5: 1, None: 2, b"k": 3}, [{"5": 1, "": 2, "k": 3}]),
        ({"t": EVENT_TIME, "u": msgpack.Timestamp(3, 500_000_000)}, [{"t": 7, "u": 3.5}]),
        (5, []),
    ],
)
def test_values(value: Any, records: list[dict[str, Any]]) -> None:
    """A map is an event; what is binary is text where it can be, and names are text."""
    parser = build(MsgpackParser)
    data = msgpack.packb(value)
    parsed = parser.parse_lines([data], NOW)
    assert (parsed.records, parsed.unmatched) == (records, [] if records else [0])
    assert [record for _, record in parser.parse(data.decode("utf-8", "surrogateescape"))] == records


def test_several_values_in_a_message() -> None:
    """Each message's events have its number, and a text that is not UTF-8 is bytes."""
    one, two = msgpack.packb({"n": 1}), b"\x81\xa1n\xa1\xff"
    parsed = build(MsgpackParser).parse_lines([one + two, b"", two], NOW)
    assert parsed.records == [{"n": 1}, {"n": b"\xff"}, {"n": b"\xff"}]
    assert (parsed.numbers, parsed.unmatched) == ([0, 0, 2], [1])


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\xa1a",
        b"\x81\xa1a\x01\x81",
        b"\xc1",
        b"\x81\x91\x01\x02",
        b"\x91" * 5000,
        b"\xdd\x7f\xff\xff\xff\x01",
        b"\xdf\x7f\xff\xff\xff\xa1a\x01",
        msgpack.packb({"a": msgpack.ExtType(9, b"x")}),
    ],
)
def test_what_is_broken(data: bytes) -> None:
    """It is refused as a whole, fills no memory, and changes nothing for the message behind it."""
    parser = build(MsgpackParser)
    parsed = parser.parse_lines([data, msgpack.packb({"a": 1})], NOW)
    assert (parsed.records, parsed.unmatched, list(parsed.errors)) == ([{"a": 1}], [0], [0])
    with pytest.raises(ParseError, match="invalid MessagePack"):
        parser.parse(data.decode("utf-8", "surrogateescape"))


def test_text_is_no_message() -> None:
    """A field's text that stands for no bytes is refused like anything else that is broken."""
    with pytest.raises(ParseError, match="it is text"):
        build(MsgpackParser).parse("\ud800")


def test_the_base() -> None:
    """Time and types of every `<parse>`."""
    parser = build(MsgpackParser, "time_key t\ntime_type unixtime\ntypes n:string\nnull_empty_string true")
    data = [msgpack.packb({"t": 7, "n": 1, "e": ""}), msgpack.packb({"t": None})]
    parsed = parser.parse_lines(data, NOW)
    assert (parsed.times, parsed.records, parsed.unmatched) == ([7_000_000_000], [{"n": "1", "e": None}], [1])
    with pytest.raises(ParseError):
        parser.parse(data[1].decode("utf-8", "surrogateescape"))
