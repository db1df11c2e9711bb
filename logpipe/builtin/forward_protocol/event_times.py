"""EventTime, fluentd's time in MessagePack: extension 0, seconds and nanoseconds of four bytes each."""

from __future__ import annotations

import struct
from typing import Any, Final

import msgpack

from logpipe import Time

SECOND: Final = 1_000_000_000
HEAD: Final = b"\xd7\x00"
"""What an EventTime begins with."""
EXTENSION: Final = 0
_PARTS: Final = struct.Struct(">II")
_MOST: Final = 0xFFFF_FFFF
_EARLIEST: Final = -62_135_596_800
_LATEST: Final = 253_402_300_799
"""Seconds of the years 1 and 9999, beyond which no time can be written out."""


def pack_time(time: Time) -> bytes:
    """Return a time as EventTime; as whole seconds where it is before 1970 or after 2106."""
    seconds, nanoseconds = divmod(time, SECOND)
    if 0 <= seconds <= _MOST:
        return HEAD + _PARTS.pack(seconds, nanoseconds)
    return pack_seconds(time)


def pack_seconds(time: Time) -> bytes:
    """Return a time as whole seconds."""
    packed: bytes = msgpack.packb(time // SECOND)
    return packed


def extension(code: int, data: bytes) -> Any:
    """Return what stands for an extension in the place of a time; for `ext_hook`."""
    if code == EXTENSION and len(data) == _PARTS.size:
        seconds, nanoseconds = _PARTS.unpack(data)
        return EventTime(seconds * SECOND + nanoseconds)
    return msgpack.ExtType(code, data)


class EventTime(int):
    """Nanoseconds, where a plain integer is seconds."""


def time_of(value: Any, now: Time) -> Time | None:
    """Return what stands in the place of a time; `now` where it stands for none, and None where it is no time.

    compat: in_forward.rb takes no time, and one in the first second of 1970, for now. An array has the time first, and
    metadata that Fluent Bit puts there. Seconds with a fraction, and MessagePack's own Timestamp, it drops with the
    event; they are unambiguous, and taken.
    """
    if type(value) is list:
        value = value[0] if value else None
    if value is None:
        return now
    if type(value) is EventTime:
        return int(value) if value >= SECOND else now
    if type(value) is msgpack.Timestamp:
        value, rest = value.seconds, value.nanoseconds
        return _checked(value, rest, now)
    if type(value) is int:
        return _checked(value, 0, now)
    if type(value) is float and _EARLIEST <= value <= _LATEST:
        return _checked(int(value // 1), int(value % 1 * SECOND), now)
    return None


def _checked(seconds: int, rest: int, now: Time) -> Time | None:
    if not _EARLIEST <= seconds <= _LATEST:
        return None
    return seconds * SECOND + rest if seconds else now
