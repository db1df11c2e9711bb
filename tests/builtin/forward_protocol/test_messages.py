"""What one side of the protocol writes, the other reads; and what peers may write beside it."""

from __future__ import annotations

import gzip
import json
from typing import Any

import msgpack
import pytest

from logpipe import EventBatch, Record, Time
from logpipe.builtin.forward_protocol import (
    Frame,
    FrameLimits,
    FrameReader,
    Message,
    Option,
    Oversized,
    ProtocolError,
    forward_message,
    pack_event,
    pack_events,
    pack_time,
    packed_message,
    read_message,
    read_messages,
    single_message,
)
from logpipe.codec import LineBatch, unpack_records

NOW = 1_700_000_000_000_000_000
TIME = 1_466_000_000_123_456_789
LIMITS = FrameLimits()
EVENTS = [(TIME + number, {"n": number, "text": "x" * number}) for number in range(5)]
PACKED = [pack_event(time, record) for time, record in EVENTS]


def frames(data: bytes, *, step: int = 1 << 30, limits: FrameLimits = LIMITS) -> list[Frame | Oversized]:
    reader = FrameReader(limits)
    found = [frame for at in range(0, len(data), step) for frame in reader.feed(data[at : at + step])]
    assert reader.held == 0
    return found


def read(data: bytes, *, limits: FrameLimits = LIMITS) -> Message:
    """Return the one message that some bytes are."""
    (frame,) = frames(data)
    assert isinstance(frame, Frame)
    message = read_message(frame, NOW, limits)
    assert message is not None
    return message


def events_of(message: Message) -> list[tuple[Time, Record]]:
    events = message.events
    if events.records is not None:
        return list(zip(events.times, events.records, strict=True))
    lines = [events.block[a:b] for a, b in zip(events.spans[::2], events.spans[1::2], strict=True)]
    return list(zip(events.times, unpack_records(lines), strict=True))


def one(value: Any) -> Message:
    return read(msgpack.packb(value))


OPTION = Option(chunk="abc\n", size=5)
MESSAGES = {
    "packed": packed_message("a.b", PACKED, OPTION),
    "gzip": packed_message("a.b", PACKED, OPTION._replace(compressed="gzip")),
    "zstd": packed_message("a.b", PACKED, OPTION._replace(compressed="zstd")),
    "forward": forward_message("a.b", PACKED, OPTION),
}


@pytest.mark.parametrize("mode", MESSAGES)
def test_messages_of_several_events(mode: str) -> None:
    """Every mode comes out as it went in, with its options."""
    message = read(MESSAGES[mode])
    assert (message.tag, message.option.chunk, message.option.size) == ("a.b", "abc\n", 5)
    assert events_of(message) == EVENTS


def test_message_of_one_event() -> None:
    message = read(single_message("a", TIME, {"k": "v"}, Option(chunk="c")))
    assert (message.tag, events_of(message), message.option.chunk) == ("a", [(TIME, {"k": "v"})], "c")


@pytest.mark.parametrize("mode", ["packed", "forward"])
def test_without_options(mode: str) -> None:
    data = (packed_message if mode == "packed" else forward_message)("a", PACKED)
    assert read(data).option == Option()


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_frames_come_in_pieces(step: int) -> None:
    """However they are cut, and whatever follows what."""
    data = b"".join([*MESSAGES.values(), single_message("t", TIME, {"k": 1}), msgpack.packb(None)]) * 2
    found = frames(data, step=step)
    assert [frame.data for frame in found if isinstance(frame, Frame)] == [
        *MESSAGES.values(),
        single_message("t", TIME, {"k": 1}),
        b"\xc0",
    ] * 2


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_json_in_pieces(step: int) -> None:
    """Values in JSON stand one behind the other; brackets and quotes in texts are none."""
    values = [["t", 1466000000, {"a": 'x"}]\\'}], ["t", [[1466000001, {"b": [1, {}]}]], {"chunk": "c"}]]
    data = b" \n" + b"\n".join(json.dumps(value).encode() for value in values) + b"\n"
    found = [read_message(frame, NOW, LIMITS) for frame in frames(data.lstrip(), step=step) if isinstance(frame, Frame)]
    assert [events_of(message) for message in found if message] == [
        [(1466000000 * 10**9, {"a": 'x"}]\\'})],
        [(1466000001 * 10**9, {"b": [1, {}]})],
    ]
    assert found[1] is not None
    assert found[1].option.chunk == "c"


def test_heartbeats_hold_nothing() -> None:
    assert read_message(Frame(b"\xc0"), NOW, LIMITS) is None


@pytest.mark.parametrize(
    ("value", "time"),
    [
        (1466000000, 1466000000 * 10**9),
        (1.5, 1_500_000_000),
        (None, NOW),
        (0, NOW),
        (-1, -(10**9)),
        (msgpack.Timestamp(5, 7), 5_000_000_007),
        (msgpack.ExtType(0, bytes(8)), NOW),
        (msgpack.ExtType(0, b"\0\0\0\1\0\0\0\2"), 1_000_000_002),
    ],
)
def test_times(value: Any, time: Time) -> None:
    """Seconds, an EventTime, and what else stands for a time; in each kind of message."""
    for message in (one(["t", value, {}]), one(["t", [[value, {}]]]), one(["t", msgpack.packb([value, {}])])):
        assert events_of(message) == [(time, {})]


def test_fluent_bit_has_metadata_beside_the_time() -> None:
    value = [[msgpack.ExtType(0, b"\0\0\0\1\0\0\0\2"), {"meta": 1}], {"k": "v"}]
    message = one(["t", msgpack.packb(value), {"fluent_signal": 0}])
    assert events_of(message) == [(1_000_000_002, {"k": "v"})]
    assert message.option.signal == 0


BAD: dict[str, Any] = {
    "no array": 5,
    "no record": [1],
    "no time": [True, {}],
    "no time in a list": [[], {}],
    "a time beyond all calendars": [2**62, {}],
    "a map for a time": [{}, {}],
    "the record is no map": [1, "text"],
    "no record at all": [1, None],
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_event_is_refused_alone(what: str) -> None:
    """The others of the message are there."""
    bad, good = BAD[what], [7, {"k": "v"}]
    for entries in ([good, bad, good], b"".join(map(msgpack.packb, [good, bad, good]))):
        message = one(["t", entries, {"chunk": "c"}])
        assert events_of(message) == [(7 * 10**9, {"k": "v"})] * 2
        assert len(message.events.refused) == 1
        assert message.option.chunk == "c"


@pytest.mark.parametrize("what", ["no time", "the record is no map", "no record at all"])
def test_a_message_with_what_is_no_event(what: str) -> None:
    for message in (
        one(["t", *BAD[what], {"chunk": "c"}]),
        read(json.dumps(["t", *BAD[what], {"chunk": "c"}]).encode()),
    ):
        assert not message.events.times
        assert [refused.reason for refused in message.events.refused] == [what.removesuffix(" at all")] or (
            what == "no record at all"
        )
        assert message.option.chunk == "c"


def test_many_events() -> None:
    """They are read some at a time, with those that are none among them; what holds none at all is no message."""
    good, bad = msgpack.packb([7, {"k": "v"}]), b"\x01"
    message = one(["t", good * 20_000 + bad * 20_000 + good])
    assert events_of(message) == [(7 * 10**9, {"k": "v"})] * 20_001
    assert (len(message.events.refused), message.events.refused_count) == (100, 20_000)
    with pytest.raises(ProtocolError, match="no event in"):
        one(["t", bad * 20_000])
    with pytest.raises(ProtocolError, match="more than 50 events"):
        read(msgpack.packb(["t", good * 60]), limits=FrameLimits(events=50))


def test_packed_events_that_are_cut_off() -> None:
    """The whole ones are taken."""
    message = one(["t", b"".join(PACKED)[:-3]])
    assert events_of(message) == EVENTS[:-1]
    assert [refused.reason for refused in message.events.refused] == ["the end is missing"]


NOT_THE_PROTOCOL = {
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a map": msgpack.packb({"a": 1}),
    "an array of one": msgpack.packb(["a"]),
    "a tag that is none": msgpack.packb([1, 2, 3]),
    "what msgpack never uses": b"\x93\xa1t\x01\xc1",
    "packed events that are none": msgpack.packb(["t", b"\x92\xc1\x80"]),
    "options that are none": msgpack.packb(["t", b"", "options"]),
    "an unknown compression": msgpack.packb(["t", b"", {"compressed": "lzma"}]),
    "no compression": msgpack.packb(["t", b"", {"compressed": 7}]),
    "damaged gzip": msgpack.packb(["t", b"\x1f\x8b\x08broken and long enough", {"compressed": "gzip"}]),
    "gzip cut off": msgpack.packb(["t", gzip.compress(b"".join(PACKED))[:-4], {"compressed": "gzip"}]),
    "zstd that is gzip": msgpack.packb(["t", gzip.compress(b"x"), {"compressed": "zstd"}]),
    "a long tag": msgpack.packb(["t" * 1025, 1, {}]),
    "many options": msgpack.packb(["t", b"", {"x": "y" * 65_600}]),
    "nested without end": b"\x93\xa1t\x01" + b"\x91" * 2000,
    "JSON that is none": b'["t", nonsense]',
    "JSON nested without end": b"[" * 2000,
    "JSON without a tag": b'[1, 2, {"k": 3}]',
    "packed events in JSON": b'["t", "packed"]',
    "JSON and then something else": b"[1,2] x",
}


@pytest.mark.parametrize("what", NOT_THE_PROTOCOL)
def test_what_is_not_the_protocol(what: str) -> None:
    with pytest.raises(ProtocolError):
        read(NOT_THE_PROTOCOL[what])


def test_says_what_it_was_taken_for() -> None:
    with pytest.raises(ProtocolError, match="an HTTP request"):
        read(NOT_THE_PROTOCOL["HTTP"])
    with pytest.raises(ProtocolError, match="write <transport tls>"):
        read(NOT_THE_PROTOCOL["TLS"])


@pytest.mark.parametrize("step", [1, 100_000])
@pytest.mark.parametrize("mode", ["packed", "forward", "single", "json"])
def test_a_frame_that_is_too_large_is_passed_over(mode: str, step: int) -> None:
    """Little of it is held, and what comes after it is read."""
    record = {"k": "v" * 50}
    large = {
        "packed": msgpack.packb(["t", msgpack.packb([1, record]) * 50, {"chunk": "c"}]),
        "forward": msgpack.packb(["t", [[1, record]] * 50, {"chunk": "c"}]),
        "single": msgpack.packb(["t", 1, dict.fromkeys(map(str, range(50)), "v" * 50)]),
        "json": json.dumps(["t", [[1, record]] * 50]).encode(),
    }[mode]
    small = b'["t",1,{}]' if mode == "json" else msgpack.packb(["t", 1, {}])
    reader = FrameReader(FrameLimits(frame=1000))
    data = small + large + small
    found = []
    for at in range(0, len(data), step):
        found += list(reader.feed(data[at : at + step]))
        assert reader.held <= 1000 + step
    assert found[1] == Oversized("" if mode == "json" else "t", len(large))
    assert [frame.data for frame in (found[0], found[2]) if isinstance(frame, Frame)] == [small, small]


@pytest.mark.parametrize("head", [b"\xdd", b"\xdf", b"\xdb", b"\xc6"])
def test_announcing_is_nothing(head: bytes) -> None:
    """Four billion of whatever there is: nothing is made ready for them."""
    reader = FrameReader()
    assert not list(reader.feed(b"\x93\xa1t\x01" + head + b"\xff" * 4))
    assert reader.held == 9


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_bombs(compression: Any) -> None:
    """What comes out is bounded, in bytes and beside what went in."""
    bomb = packed_message("t", [bytes(1 << 22)], Option(compressed=compression))
    with pytest.raises(ProtocolError, match="decompressed"):
        read(bomb, limits=FrameLimits(inflated=1 << 20))
    with pytest.raises(ProtocolError, match="decompressed"):
        read(bomb, limits=FrameLimits(ratio=10))


def test_compressed_members_one_behind_the_other() -> None:
    """As fluentd's buffers have them; an empty body is no events."""
    body = gzip.compress(PACKED[0]) + gzip.compress(b"".join(PACKED[1:]))
    assert events_of(one(["t", body, {"compressed": "gzip"}])) == EVENTS
    assert events_of(one(["t", b"", {"compressed": "gzip"}])) == []


def test_values_of_a_record_are_counted() -> None:
    """An empty map is a byte, and much more when it is read."""
    values: list[Any] = [
        {},
        [],
        "text",
        b"bytes",
        1,
        300,
        70_000,
        2**40,
        -1,
        -300,
        1.5,
        None,
        True,
        "s" * 300,
        {"k": [1]},
    ]
    values += [msgpack.ExtType(5, b"x" * size) for size in (1, 2, 3, 4, 8, 16, 300)]
    count = 2 + len(values) + 3
    packed = msgpack.packb([1, {"v": values}])
    for limit, refused in ((count, 0), (count - 1, 1)):
        message = read(msgpack.packb(["t", packed]), limits=FrameLimits(values=limit + 1))
        assert len(message.events.refused) == refused
    long_text = one(["t", msgpack.packb([1, {"k": "x" * 300_000}])])
    assert not long_text.events.refused


@pytest.mark.parametrize("bad", [b"\xc7\x03\xff\0\0\0", b"\xd4\xff\0", b"\xc9\xff\xff\xff\xff"])
def test_extensions_that_nobody_can_read(bad: bytes) -> None:
    """A Timestamp of three bytes, of one, and what msgpack skips as if it were empty: found before they are read."""
    good, start = msgpack.packb([1, {"k": "\xff"}]), msgpack.packb([1, {"k": 1}])[:-1]
    message = one(["t", good + start + bad + good])
    assert events_of(message) == [(10**9, {"k": "\xff"})] * 2
    assert len(message.events.refused) == 1


def test_times_that_look_like_what_nobody_can_read() -> None:
    """Their bytes are no values: the events are as any others."""
    events = [(0xD6FF_D4FF * 10**9 + 0x0055_D5FF, {"n": number}) for number in range(3)]
    assert events_of(one(["t", b"".join(pack_event(*event) for event in events)])) == events


def test_odd_values() -> None:
    """Text that is none stays bytes, byte strings that are text become it, keys are always text."""
    record = b"\x87\xa1a\xa2\xff\xfe\xc4\x01b\xc4\x02ok\x01\x02\xc0\x03\x90\x04"
    record += b"\xa1f\xd7\x00\0\0\0\5\0\0\0\6\xa1g\xc7\x02\x09xy"
    ((time, found),) = events_of(one(["t", b"\x92\x01" + record]))
    assert time == 10**9
    assert found == {"a": b"\xff\xfe", "b": "ok", "1": 2, "": 3, "[]": 4, "f": 5, "g": "xy"}


def test_numbers_in_json_are_kept() -> None:
    """Also those that are too long for most parsers."""
    message = read(b'["t", 1, {"n": 123456789012345678901234567890, "t": "\xff"}]')
    assert events_of(message) == [(10**9, {"n": 123456789012345678901234567890, "t": b"\xff"})]


def test_packs_what_was_never_read() -> None:
    """Events that came packed go out as they came, and others the same."""
    message = read(MESSAGES["packed"])
    events = message.events
    batch = LineBatch("t", events.times, events.block, events.spans, form="msgpack")  # type: ignore[arg-type]
    assert pack_events(batch) == PACKED
    assert batch.is_unread
    assert pack_events(EventBatch("t", events.times, [record for _, record in EVENTS])) == PACKED


@pytest.mark.parametrize("time", [0, 2**32 * 10**9 - 1, -(10**9), 2**32 * 10**9])
def test_times_that_are_packed(time: Time) -> None:
    """Those that an EventTime cannot hold are whole seconds."""
    (found,) = one(["t", b"\x92" + pack_time(time) + b"\x80"]).events.times
    assert found == (time or NOW)


def test_messages_of_one_event_are_read_together() -> None:
    """As many as have one tag, a usual time and no options; one that has not stands for itself."""
    bad = msgpack.packb(["a", 2**31, {"k": 1}])[:-1] + b"\xd4\xff\0"
    parts = [
        msgpack.packb(["a", 2**31, {"n": 1}]),
        single_message("a", 0, {"n": 2}),
        msgpack.packb(["a", 2**31 + 1, {"n": 3}]),
        bad,
        single_message("a", TIME, {"n": 4}),
        single_message("b", TIME, {"n": 5}),
        single_message("b", TIME, {"n": 6}, Option(chunk="c")),
        msgpack.packb(["b", 7, "no record"]),
        msgpack.packb(["b", 8]),
        msgpack.packb(["b", 1.5, {"n": 9}]),
    ]
    found = list(read_messages([Frame(part) for part in parts], NOW, LIMITS))
    assert [(message.tag, events_of(message), message.events.refused_count) for message in found] == [
        ("a", [(2**31 * 10**9, {"n": 1}), (NOW, {"n": 2}), ((2**31 + 1) * 10**9, {"n": 3})], 0),
        ("a", [], 1),
        ("a", [(TIME, {"n": 4})], 0),
        ("b", [(TIME, {"n": 5})], 0),
        ("b", [(TIME, {"n": 6})], 0),
        ("b", [], 1),
        ("b", [], 1),
        ("b", [(1_500_000_000, {"n": 9})], 0),
    ]
