"""Stages that pass events on undecoded, for benchmarks alone: they take it for granted that all bytes are in form."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from itertools import accumulate, chain, repeat
from operator import add
from typing import Any

import msgpack
import orjson

from logpipe import EventBatch, Host, Input, Options, Output, Parsed, Parser, Record, Time, param
from logpipe.codec import LineBatch

SECOND = 1_000_000_000
BATCH = 1000
_STAMP = struct.Struct(">II")
_EVENT_TIME = b"\x92\xd7\x00"
"""An array of two, the first of which is fluentd's EventTime."""


class TrustingJson(Parser[Options], type="trusting_json"):
    """Takes each line for an object without a time; events have that of reading."""

    def parse_lines(self, lines: list[bytes], now: Time) -> Parsed:
        """Return the events of lines that have to be decoded."""
        return Parsed([now] * len(lines), list(map(orjson.loads, lines)), [])

    def lines(self, block: bytes, start: int, stop: int, now: Time) -> tuple[LineBatch, list[int]] | None:
        """Return a batch of all lines."""
        steps = map(add, map(len, block[start : stop - 1].split(b"\n")), repeat(1))
        starts = array("I", accumulate(steps, initial=start))
        count = len(starts) - 1
        spans = array("I", starts[:1]) * (2 * count)
        spans[::2] = starts[:-1]
        spans[1::2] = array("I", map(add, starts[1:], repeat(-1)))
        return LineBatch("", [now] * count, block, spans, form="json"), []


class PackedOptions(Options):
    """Settings of the two stages below."""

    unread: bool = param("Whether events pass undecoded.", default=True)
    count: int = param("How many events there are.", default=BATCH)


class PackedInput(Input[PackedOptions], type="packed_in"):
    """Emits what a forwarder may have sent: packed events, the same ones again and again."""

    def __init__(self, options: PackedOptions, host: Host) -> None:
        super().__init__(options, host)
        self._block = packed([(SECOND * number + 7, record(number)) for number in range(BATCH)])

    async def run(self) -> None:
        """Emit as many as asked."""
        make = unread if self.options.unread else read
        for _ in range(0, self.options.count, BATCH):
            await self.host.emit(make(self._block))


class PackedOutput(Output[PackedOptions], type="packed_out"):
    """Packs events as the input has them, and counts the bytes."""

    def __init__(self, options: PackedOptions, host: Host) -> None:
        super().__init__(options, host)
        self.events = self.size = 0
        self.last = b""

    async def process(self, batch: EventBatch) -> None:
        """Pack a batch."""
        self.last = repacked(batch)
        self.events += len(batch)
        self.size += len(self.last)


def record(number: int) -> Record:
    """Return one of the records."""
    line = f'10.0.0.{number % 255} - - "GET /orders/{number} HTTP/1.1" 200 {number * 7919 % 20_000} "-" "Mozilla/5.0"\n'
    kubernetes = {"namespace_name": "shop", "pod_name": "web-5d7f8c9b4d-x2x8z", "labels": {"app": "web", "tier": "a"}}
    return {"log": line, "stream": "stdout", "kubernetes": kubernetes}


def packed(events: Sequence[tuple[Time, Any]]) -> bytes:
    """Return events one behind the other, as fluentd's forward protocol has them."""
    return b"".join(_head(time) + msgpack.packb(fields) for time, fields in events)


def _head(time: Time) -> bytes:
    return _EVENT_TIME + _STAMP.pack(*divmod(time, SECOND))


def _time(extension: Any) -> Time:
    seconds, nanoseconds = _STAMP.unpack(extension.data)
    return int(seconds) * SECOND + int(nanoseconds)


def read(block: bytes) -> EventBatch:
    """Return the events of a block, decoded."""
    unpacker = msgpack.Unpacker(strict_map_key=False)
    unpacker.feed(block)
    pairs = list(unpacker)
    return EventBatch("app", [_time(pair[0]) for pair in pairs], [pair[1] for pair in pairs])


def unread(block: bytes) -> LineBatch:
    """Return the events of a block, of which nothing but the times is decoded."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(block)
    times, spans = [], array("I")
    place = 0
    while place < len(block):
        unpacker.read_array_header()
        times.append(_time(unpacker.unpack()))
        spans.append(unpacker.tell())
        unpacker.skip()
        place = unpacker.tell()
        spans.append(place)
    return LineBatch("app", times, block, spans, form="msgpack")


def repacked(batch: EventBatch) -> bytes:
    """Return a batch as `packed` does; lines that nobody has read are not decoded for it."""
    if not (isinstance(batch, LineBatch) and batch.is_unread and not batch.edits):
        return packed(list(zip(batch.times, batch.records, strict=True)))
    heads = map(_head, batch.times)
    return b"".join(chain.from_iterable(zip(heads, batch.lines(), strict=True)))
