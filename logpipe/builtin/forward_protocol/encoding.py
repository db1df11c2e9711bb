"""Writes messages: what an output of this protocol sends, and the acknowledgements of an input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Final

import msgpack
import orjson

from logpipe import EventBatch, Record, Time
from logpipe.builtin.compression import compressor
from logpipe.builtin.forward_protocol.event_times import pack_seconds, pack_time
from logpipe.builtin.forward_protocol.frame import Form
from logpipe.builtin.forward_protocol.limits import ProtocolError
from logpipe.builtin.forward_protocol.options import NONE, Chunk, Option
from logpipe.codec import LineBatch

_PAIR: Final = b"\x92"
_LONGEST: Final = 0xFFFF_FFFF


def pack_record(record: Record) -> bytes:
    """Return a record as a map: text as text, what is not UTF-8 as bytes.

    Raises:
        ValueError, TypeError, OverflowError: it holds what MessagePack has no form for: an integer over 64 bits, say.
    """
    try:
        packed: bytes = msgpack.packb(record)
    except UnicodeEncodeError:  # a lone surrogate, from JSON
        packed = msgpack.packb(record, unicode_errors="surrogatepass")
    return packed


def pack_event(time: Time, record: Record) -> bytes:
    """Return an event as it stands among packed ones.

    Raises:
        ValueError, TypeError, OverflowError: as `pack_record`.
    """
    return _PAIR + pack_time(time) + pack_record(record)


def pack_events(batch: EventBatch, *, whole_seconds: bool = False) -> list[bytes]:
    """Return each event of a batch as by `pack_event`; what came packed and was not read is not decoded for it.

    Args:
        batch: the events.
        whole_seconds: whether times are integers, as before fluentd 0.14.

    Raises:
        ValueError, TypeError, OverflowError: one of them cannot be packed.
    """
    if isinstance(batch, LineBatch) and batch.form == "msgpack" and batch.is_unread and not batch.edits:
        records: Iterable[bytes] = batch.lines()
    else:
        records = map(pack_record, batch.records)
    pack = pack_seconds if whole_seconds else pack_time
    return [_PAIR + pack(time) + record for time, record in zip(batch.times, records, strict=True)]


def packed_message(tag: str, events: Iterable[bytes], option: Option = NONE) -> bytes:
    """Return a message of packed events, which are compressed as the option says.

    Raises:
        ProtocolError: they are more than four gigabytes.
    """
    body = b"".join(events)
    if option.compressed is not None:
        body = compressor(option.compressed)(body)
    head, tail = packed_frame(tag, len(body), option)
    return b"".join((head, body, tail))


def packed_frame(tag: str, size: int, option: Option = NONE) -> tuple[bytes, bytes]:
    """Return what stands before and behind so many bytes of packed events, compressed or not.

    Raises:
        ProtocolError: they are more than four gigabytes.
    """
    if size > _LONGEST:
        raise ProtocolError(f"{size} bytes are more than one message can have")
    # compat: out_forward.rb writes a text of 32 bits' length, whatever it holds
    return _array(2, option) + _pack(tag) + b"\xdb" + size.to_bytes(4, "big"), _tail(option)


def forward_message(tag: str, events: Sequence[bytes], option: Option = NONE) -> bytes:
    """Return a message of events in an array; they are as `pack_event` makes them."""
    head = msgpack.Packer().pack_array_header(len(events))
    return b"".join(chain((_array(2, option), _pack(tag), head), events, (_tail(option),)))


def single_message(tag: str, time: Time, record: Record, option: Option = NONE) -> bytes:
    """Return a message of one event.

    Raises:
        ValueError, TypeError, OverflowError: as `pack_record`.
    """
    return b"".join((_array(3, option), _pack(tag), pack_time(time), pack_record(record), _tail(option)))


def acknowledgement(chunk: Chunk, form: Form = "msgpack") -> bytes:
    """Return the answer to a message that named its chunk."""
    if form == "json":
        return orjson.dumps({"ack": chunk})
    return _pack({"ack": chunk})


def acknowledged(frame: bytes) -> Any:
    """Return the chunk that an answer acknowledges.

    Raises:
        ProtocolError: it is no acknowledgement.
    """
    try:
        value = msgpack.unpackb(frame, unicode_errors="surrogateescape")
    except (ValueError, TypeError, msgpack.UnpackException) as problem:
        raise ProtocolError(f"not MessagePack: {problem or type(problem).__name__}") from None
    if not isinstance(value, dict) or value.get("ack") is None:
        raise ProtocolError(f"no acknowledgement: {frame[:64]!r}")
    return value["ack"]


def _array(count: int, option: Option) -> bytes:
    return bytes((0x90 | (count + (option != NONE)),))


def _tail(option: Option) -> bytes:
    return _pack(option.fields()) if option != NONE else b""


def _pack(value: Any) -> bytes:
    try:
        packed: bytes = msgpack.packb(value, unicode_errors="surrogateescape")
    except UnicodeEncodeError:  # a tag with half a character, from JSON
        packed = msgpack.packb(value, unicode_errors="surrogatepass")
    return packed
