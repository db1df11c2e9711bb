"""Streams to messages, however they are torn."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from random import Random

import msgpack
import pytest

from logpipe import ParseError
from logpipe.builtin.parsers.splitting import JsonSplitter, LineSplitter, MsgpackSplitter
from logpipe.codec import Splitter

JSON = b"""{"a":1}
{"a":{"b":[1,"}{"]},"c":"\\"}"} {"d":2}{"e":
  [3,
   {"f":"\\\\"}]
}

no json {
[{"g":1},{"h":"[{"}]
{"last":true}"""
VALUES = [
    b'{"a":1}',
    b'{"a":{"b":[1,"}{"]},"c":"\\"}"}',
    b'{"d":2}',
    b'{"e":\n  [3,\n   {"f":"\\\\"}]\n}',
    b"no json {",
    b'[{"g":1},{"h":"[{"}]',
    b'{"last":true}',
]
LINES = b"a\r\n\nb\n\xff\0c\nlast\r"
PACKED = [msgpack.packb(value) for value in ({"a": 1}, [{"b": "x" * 300}], 7, {"c": {"d": [None, 1.5]}})]


def cut(splitter: Splitter, data: bytes, random: Random | None) -> list[bytes]:
    """Return the messages of a stream that comes in pieces."""
    places = sorted(random.choices(range(len(data) + 1), k=20)) if random is not None else [*range(len(data))]
    found: list[bytes] = []
    for start, stop in zip([0, *places], [*places, len(data)], strict=True):
        found += splitter.feed(data[start:stop])
    return found + splitter.finish()


@pytest.mark.parametrize("seed", [None, *range(8)])
@pytest.mark.parametrize(
    ("make", "data", "expected"),
    [
        (LineSplitter, LINES, [b"a", b"", b"b", b"\xff\0c", b"last"]),
        (LineSplitter, b"", []),
        (JsonSplitter, JSON, VALUES),
        (JsonSplitter, b" \n\t\n", []),
        (JsonSplitter, b'{"a":1}\n{"b', [b'{"a":1}', b'{"b']),
        (MsgpackSplitter, b"".join(PACKED), PACKED),
        (MsgpackSplitter, PACKED[0] + PACKED[1][:5], [PACKED[0], PACKED[1][:5]]),
    ],
)
def test_torn_anywhere(make: Callable[[], Splitter], data: bytes, expected: list[bytes], seed: int | None) -> None:
    """The messages are the same, byte by byte and in pieces; what has no end comes at the end."""
    assert cut(make(), data, None if seed is None else Random(seed)) == expected


def test_values_of_json_are_json() -> None:
    """But for what stands between them."""
    assert [json.loads(value) for value in VALUES if value != b"no json {"]


@pytest.mark.parametrize("make", [LineSplitter, JsonSplitter])
@pytest.mark.parametrize("size", [7, 64])
def test_what_is_too_long_is_left_out(make: Callable[[int], Splitter], size: int) -> None:
    """And what follows it is not."""
    splitter = make(100)
    long = b'{"a":"' + b"x" * 500 + b'"}'
    data = b'{"a":1}\n' + long + b'\n{"b":2}\n'
    found = [message for start in range(0, len(data), size) for message in splitter.feed(data[start : start + size])]
    assert found + splitter.finish() == [b'{"a":1}', b'{"b":2}']
    assert splitter.left_out == [len(long)]


@pytest.mark.parametrize("make", [LineSplitter, JsonSplitter])
def test_a_line_that_is_too_long_and_whole(make: Callable[[int], Splitter]) -> None:
    """It comes in one piece with others; or is the last, without an end."""
    splitter = make(10)
    assert LineSplitter(10).feed(b"a\n" + b"x" * 11 + b"\nb\n") == [b"a", b"b"]
    assert splitter.feed(b"[" + b"1" * 11) == []
    assert splitter.finish() == []
    assert splitter.left_out == [12]


@pytest.mark.parametrize("make", [LineSplitter, JsonSplitter, MsgpackSplitter])
def test_what_never_ends_fills_no_memory(make: Callable[[int], Splitter]) -> None:
    """A megabyte is the limit here, and forty come."""
    splitter = make(1 << 20)
    head = b"\xdb\xff\xff\xff\xff" if make is MsgpackSplitter else b'{"a":"'
    splitter.feed(head)
    tracemalloc.start()
    try:
        for _ in range(640):
            splitter.feed(b"x" * 65536)
    except ParseError:
        assert make is MsgpackSplitter
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


@pytest.mark.parametrize("data", [b"\xc1", PACKED[0] + b"\xc1", b"\xdd\xff\xff\xff\xff" * 2000])
def test_what_is_no_messagepack(data: bytes) -> None:
    """Nothing says where the next value begins."""
    with pytest.raises(ParseError, match="MessagePack"):
        MsgpackSplitter().feed(data)
