"""Whatever a peer writes, it is read, refused, or no protocol; nothing else may come of it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from logpipe.builtin.forward_protocol import (
    Frame,
    FrameLimits,
    FrameReader,
    Option,
    ProtocolError,
    forward_message,
    pack_event,
    packed_message,
    read_messages,
    single_message,
)
from logpipe.codec import unpack_records

LIMITS = FrameLimits(frame=4096, values=64, events=256, option=512, inflated=65_536)
RECORD = {"k": "vé", "n": -70_000, "f": 1.5, "l": [1, {"x": None}], "b": b"\xff\x00", "t": msgpack.Timestamp(1, 2)}
EVENTS = [pack_event(1_466_000_000_000_000_000 + number, RECORD) for number in range(3)]
GOOD = (
    packed_message("a.b", EVENTS, Option(chunk="c", size=3)),
    packed_message("a.b", EVENTS, Option(compressed="gzip")),
    packed_message("a.b", EVENTS, Option(compressed="zstd")),
    forward_message("a.b", EVENTS, Option(chunk="c")),
    single_message("a.b", 7_000_000_000, RECORD),
    single_message("a.b", 7_000_000_000, {"k": 1}) * 3,
    b'["a",1,{"k":[1,"\\ud800"]}]["a",[[1,{}],[2.5,{"k":1e400}]],{"chunk":"c"}]',
)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.binary(max_size=9)
    | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3) | st.integers(-9, 9), inner, max_size=3)
    ),
    max_leaves=9,
)


@st.composite
def damaged(draw: Any) -> bytes:
    """Return good messages with some bytes changed, taken out or put in."""
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(GOOD), min_size=1, max_size=3))))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        stop = place + draw(st.integers(0, 3))
        data[place:stop] = draw(
            st.binary(max_size=4) | st.sampled_from([b"\xff" * 4, b"\xdd\xff\xff\xff\xff", b"\xc1"])
        )
    return bytes(data)


def read_all(data: bytes, step: int) -> int:
    """Read as an input does, and every record; returns how many there are."""
    reader, count = FrameReader(LIMITS), 0
    for at in range(0, len(data), step):
        frames = [frame for frame in reader.feed(data[at : at + step]) if isinstance(frame, Frame)]
        assert reader.held <= LIMITS.frame + step
        for message in read_messages(frames, 1, LIMITS):
            events = message.events
            spans = zip(events.spans[::2], events.spans[1::2], strict=True)
            records = (
                events.records
                if events.records is not None
                else unpack_records([events.block[start:stop] for start, stop in spans])
            )
            assert len(records) == len(events.times)
            assert all(type(record) is dict for record in records)
            assert all(type(name) is str for record in records for name in record)
            count += len(records)
    return count


@settings(max_examples=150, deadline=None)
@given(damaged(), st.integers(1, 200))
def test_damaged_messages(data: bytes, step: int) -> None:
    with suppress(ProtocolError):
        read_all(data, step)


@settings(max_examples=100, deadline=None)
@given(st.lists(values, max_size=4), st.integers(1, 200))
def test_what_is_well_formed(several: list[Any], step: int) -> None:
    """Any values in the place of a message, of its parts, of an event and of its record."""
    with suppress(ProtocolError):
        read_all(b"".join(map(msgpack.packb, several)), step)
    for value in several:
        for message in (
            ["t", [value]],
            ["t", msgpack.packb(value)],
            ["t", 1, {"k": value}, value],
            ["t", [[1, {"k": value}]]],
        ):
            with suppress(ProtocolError):
                read_all(msgpack.packb(message), step)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.integers(1, 2**32 - 1),
            st.dictionaries(st.text(max_size=3), st.integers(-9, 9), max_size=3),
        ),
        max_size=9,
    ),
    st.integers(1, 90),
)
def test_what_means_well_arrives(events: list[tuple[str, int, dict[str, int]]], step: int) -> None:
    data = b"".join(single_message(tag, time, record) for tag, time, record in events)
    assert read_all(data, step) == len(events)
