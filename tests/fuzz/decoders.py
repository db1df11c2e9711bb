"""What the decoders of bytes from the network promise of any bytes, as functions that assert it of some."""

from __future__ import annotations

import functools
import gzip
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgpack

from logpipe import EventBatch, Parser
from logpipe.builtin.forward_protocol import (
    Client,
    ClientHandshake,
    Frame,
    FrameLimits,
    FrameReader,
    Option,
    Oversized,
    ProtocolError,
    ServerHandshake,
    acknowledged,
    acknowledgement,
    forward_message,
    pack_event,
    pack_events,
    packed_message,
    read_messages,
    single_message,
)
from logpipe.builtin.in_http.content import RefusedError, form, parameters, unpacked
from logpipe.builtin.in_http.records import Found, found_by, found_in, seconds, timed
from logpipe.builtin.in_syslog import Syslog
from logpipe.builtin.message_inputs.framing import BrokenFrameError, Delimited, Framing, OctetCounted
from logpipe.codec import LineBatch
from logpipe.net import Request
from logpipe.registry import Registry
from logpipe.testing import build

NOW: Final = 1_466_000_000_000_000_000
LIMITS: Final = FrameLimits(frame=65_536, inflated=1 << 20, option=512, events=4_096, values=4_096)
MOST_HTTP: Final = 1 << 20
RECORD: Final = {"message": "vé", "n": -70_000, "f": 1.5, "l": [1, {"x": None}], "b": b"\xff\x00"}


class Decoder(NamedTuple):
    """A decoder.

    Attributes:
        check: asserts what is promised of some bytes, the first of which may say by which settings.
        seeds: what it can read.
    """

    check: Callable[[bytes], None]
    seeds: Sequence[bytes]


def check_forward(data: bytes) -> None:
    """Frames are the same however they are torn, and hold events, or are refused; so are handshakes and answers."""
    frames, problem = _frames([data])
    for size in (1, 7, max(1, len(data) // 2)):
        if len(data) <= 512 or size > 7:
            torn = _frames(data[at : at + size] for at in range(0, len(data), size))
            assert torn == (frames, problem), f"in pieces of {size}: {torn} for {(frames, problem)}"
    with suppress(ProtocolError):
        for message in read_messages([each for each in frames if isinstance(each, Frame)], NOW, LIMITS):
            _check_events(message.tag, message.events)
            if message.option.chunk is not None:
                assert acknowledged(acknowledgement(message.option.chunk)) == message.option.chunk
    for frame in frames[:1]:
        if isinstance(frame, Frame):
            _shake_hands(frame.data)


def _frames(pieces: Any) -> tuple[list[Frame | Oversized], bool]:
    reader, found = FrameReader(LIMITS), []
    try:
        for piece in pieces:
            found.extend(reader.feed(piece))
            assert reader.held <= LIMITS.frame + len(piece)
    except ProtocolError:
        return found, True
    return found, False


def _check_events(tag: str, events: Any) -> None:
    if events.records is None:
        batch: EventBatch = LineBatch(tag, events.times, events.block, events.spans, form="msgpack")
    else:
        batch = EventBatch(tag, events.times, events.records)
    assert len(batch.records) == len(batch.times)
    assert all(type(record) is dict for record in batch.records)
    assert all(type(time) is int for time in batch.times)
    with suppress(OverflowError, ValueError, TypeError):  # JSON has numbers that MessagePack has not
        written = packed_message(tag, pack_events(batch))
        (again,) = read_messages([Frame(written)], NOW, FrameLimits())
        assert len(again.events.times) == len(batch.times)


def _shake_hands(frame: bytes) -> None:
    for read in (
        lambda: ServerHandshake("server", user_auth=True).answer(frame, Client("key", [("user", "password")])),
        lambda: ClientHandshake("client", "key").ping(frame),
        lambda: ClientHandshake("client", "key").check(frame),
        lambda: acknowledged(frame),
    ):
        with suppress(ProtocolError):
            read()


def check_msgpack(data: bytes) -> None:
    """A message's events are the same read by themselves and among others; so are those of a request."""
    for conf in ("", "time_key n\ntime_type float\nkeep_time_key true"):
        _check_message(_parser("msgpack", conf), data)
    with suppress(RefusedError):
        _check_found(found_in({"msgpack": data}))


def check_syslog(data: bytes) -> None:
    """Messages are the same however they are torn; each is an event, or in no format."""
    if len(data) < 2:
        return
    choice, data = data[0], data[1:]
    framing = _FRAMINGS[choice % len(_FRAMINGS)]
    messages = _messages(framing(), [data])
    for size in (1, 13):
        torn = _messages(framing(), (data[at : at + size] for at in range(0, len(data), size)))
        assert torn == messages, f"in pieces of {size}: {torn} for {messages}"
    plugin = _syslog(choice // len(_FRAMINGS) % len(_SYSLOGS))
    batches = plugin.batches(messages, {"source": "127.0.0.1"}, NOW, is_first=True)
    assert sum(map(len, batches)) == len(messages)
    for batch in batches:
        assert len(batch.times) == len(batch.records)
        assert all(record["source"] == "127.0.0.1" for record in batch.records)


def _messages(framing: Framing, pieces: Any) -> list[bytes]:
    found: list[bytes] = []
    with suppress(BrokenFrameError):
        for piece in pieces:
            found += framing.feed(piece)
            assert framing.held <= 1024 + len(piece) + 16
    return found


_FRAMINGS: Final[Sequence[Callable[[], Framing]]] = (
    lambda: Delimited(b"\n", 1024),
    lambda: Delimited(b"\r\n", 1024),
    lambda: OctetCounted(1024),
)
_SYSLOGS: Final = (
    "",
    "<parse>\nmessage_format auto\nwith_priority true\n</parse>\nallow_without_priority true",
    "<parse>\nmessage_format rfc5424\nwith_priority true\nparser_engine string\n</parse>",
    "<parse>\nparser_engine string\nwith_priority true\nsupport_colonless_ident false\n</parse>\nfacility_key f",
    "<parse>\n@type json\n</parse>\nseverity_key s",
    "<parse>\n@type regexp\nexpression /^(?<time>[^ ]*) (?<a>[^,]*),? ?(?<b>.*)$/\ntime_format %b %d\n</parse>",
)


@functools.cache
def _syslog(number: int) -> Syslog:
    plugin: Syslog = build(Syslog, f"tag s\nport 0\nemit_unmatched_lines true\n{_SYSLOGS[number]}")
    return plugin


def check_http(data: bytes) -> None:
    """A body is unpacked within its limit, and what it holds is records, or refused; every parser takes any text."""
    if len(data) < 2:
        return
    choice, body = data[0], data[1:]
    kind, encoding = _KINDS[choice % len(_KINDS)], ("", "gzip", "deflate")[choice // 16 % 3]
    request = Request("POST", "/t", {}, {"Content-Type": kind, "Content-Encoding": encoding}, body, "127.0.0.1")
    with suppress(RefusedError):
        body = unpacked(request, MOST_HTTP)
        assert len(body) <= max(MOST_HTTP, len(data))
        given = parameters(body[:100].decode("utf-8", "surrogateescape")) if choice & 8 else {}
        found = found_in(given | form(request, body))
        _check_found(found)
        times = timed(found, "time", NOW, seconds, keep=False)
        assert len(times) == len(found.records)
    name, conf = _PARSERS[choice % len(_PARSERS)]
    parser = _parser(name, conf)
    with suppress(RefusedError):
        _check_found(found_by(parser, body))
    _check_message(parser, body)


_KINDS: Final = (
    "application/json",
    "application/x-ndjson",
    "application/msgpack",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
)
_PARSERS: Final = (
    ("json", ""),
    ("csv", "keys a,b,c\ntypes a:integer,b:float"),
    ("tsv", "keys time,b\ntime_format %Y"),
    ("ltsv", "types n:integer"),
    ("nginx", ""),
    ("apache", ""),
    ("apache2", ""),
    ("apache_error", ""),
    ("syslog", "message_format auto\nwith_priority true"),
    ("csv", "keys a,b\nparser_type fast"),
    ("cri", ""),
    ("none", ""),
)


@functools.cache
def _parser(name: str, conf: str) -> Parser[Any]:
    parser: Parser[Any] = build(Registry().get("parser", name), conf)  # type: ignore[arg-type]
    return parser


def _check_message(parser: Parser[Any], data: bytes) -> None:
    """Assert that a parser makes of a message among others what it makes of it alone."""
    alone = parser.parse_lines([data], NOW)
    among = parser.parse_lines([data, data], NOW)
    assert repr(among.records) == repr([*alone.records, *alone.records])
    assert among.times == [*alone.times, *alone.times]
    assert all(type(record) is dict for record in alone.records)
    assert len(alone.times) == len(alone.records)
    assert alone.records or alone.unmatched or not data or parser.types[0] in {"msgpack", "json", "cri"}


def _check_found(found: Found) -> None:
    assert all(type(record) is dict for record in found.records)
    assert not found.times or len(found.times) == len(found.records)


def _forward_seeds() -> Iterator[bytes]:
    events = [pack_event(NOW + number, RECORD) for number in range(3)]
    yield packed_message("a.b", events, Option(chunk="c", size=3))
    yield packed_message("a.b", events, Option(compressed="gzip"))
    yield packed_message("a.b", events, Option(compressed="zstd"))
    yield forward_message("a.b", events, Option(chunk="c"))
    yield single_message("a.b", 7_000_000_000, RECORD)
    yield single_message("a.b", 7_000_000_000, {"k": 1}) * 3
    yield b'["a",1,{"k":[1,"\\ud800"]}]["a",[[1,{}],[2.5,{"k":1e400}]],{"chunk":"c"}]'
    yield ServerHandshake("server", user_auth=True).helo()
    yield msgpack.packb(["PING", "client", "salt", "digest", "user", "password"])
    yield msgpack.packb(["PONG", True, "", "server", "digest"])
    yield acknowledgement("c")
    yield b"\x93\xa1t\x01" + b"\xdd\x05\xf5\xe1\x00" * 50
    yield b"\x92\xa1t\xc6" + struct.pack(">I", 64) + b"\x92\x01\x80" * 20


_MESSAGES: Final = (
    b"<6>Sep 11 00:00:00 localhost kernel[22]: [ 0.000000] Kernel command line\n<13>Feb  5 17:32:18 h a: b\r\n",
    b"<16>1 2017-02-06T13:14:15.003Z 192.168.0.1 fluentd - - - Hi, from Fluentd!\n",
    b'<16>1 2017-02-06T13:14:15.003Z h f 11111 ID24224 [s@20224 a="b" c="d\\]"] [x@1 y=""] Hi\n',
    b"49 <6>Sep 11 00:00:00 localhost kernel: octet counted",
    b'<14>{"a": [1, {"b": null}], "c": 1e99}\n',
    b"Sep 11 00:00:00 h x: without a priority\n",
)
_BODIES: Final = (
    b'{"a":1,"time":1466000000.5,"b":[{"c":"\\ud800"}]}',
    b'[{"a":1},{"a":2,"time":null}]',
    b'{"a":1}\n{"b":2}\r\nnonsense\n[]\n',
    b"json=%7B%22a%22%3A1%7D&time=1466000000",
    b'--b\r\nContent-Disposition: form-data; name="json"\r\n\r\n{"a":1}\r\n--b--\r\n',
    b'1,"two, 2",3',
    b"2016\ttwo",
    b"n:1\tb:two",
    b'127.0.0.1 - u [05/Feb/2013:12:00:00 +0900] "GET /x HTTP/1.1" 200 777 "http://r" "Opera" "-"',
    b"[Wed Oct 11 14:32:52 2000] [error] [client 127.0.0.1] client denied",
    b"<16>1 2017-02-06T13:14:15.003Z 192.168.0.1 fluentd - - - Hi",
    b"2016-06-15T14:13:20.123456789Z stdout F a line",
)

DECODERS: Final = {
    "forward": Decoder(check_forward, list(_forward_seeds())),
    "msgpack": Decoder(
        check_msgpack,
        [msgpack.packb(RECORD), msgpack.packb(RECORD) * 2, msgpack.packb([RECORD, RECORD, 1]), b"\x81\xa1n\xd7\0" * 2],
    ),
    "syslog": Decoder(
        check_syslog,
        [bytes((choice,)) + each for choice in range(len(_FRAMINGS) * len(_SYSLOGS)) for each in _MESSAGES],
    ),
    "http": Decoder(
        check_http,
        [
            *(bytes((choice,)) + each for choice in range(len(_PARSERS)) for each in _BODIES),
            *(bytes((16 + choice,)) + gzip.compress(each, mtime=0) for choice in range(5) for each in _BODIES[:5]),
        ],
    ),
}
