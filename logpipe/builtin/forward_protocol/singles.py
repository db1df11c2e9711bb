"""Reads messages of one event that follow each other, as loggers send them, as one message of several."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Final

from logpipe import Time
from logpipe.builtin.forward_protocol.event_times import HEAD, SECOND
from logpipe.builtin.forward_protocol.events import MAPS, UNREADABLE, Events
from logpipe.builtin.forward_protocol.frame import Frame
from logpipe.builtin.forward_protocol.heads import string_at
from logpipe.codec import readable

LARGEST: Final = 16_384
"""Bytes of a message that is read so; what it can hold is few enough not to be counted."""
LONGEST_TAG: Final = 255
_THREE: Final = 0x93
"""An array of three: tag, time and record, and no options."""
_INTEGER: Final = 0xCE
_HEAD_BYTES: Final = 10
_INTEGER_BYTES: Final = 5
_LOW: Final = 0xFFFF_FFFF


def read_singles(frames: Sequence[Frame], first: int, now: Time) -> tuple[str, Events] | None:
    """Return the tag and the events of frames from one on, as many as have that tag, a usual time, and no options.

    Returns:
        None where the first of them has not.
    """
    start = frames[first].data
    tag = string_at(start, 1) if start[0] == _THREE and len(start) <= LARGEST else None
    if tag is None or tag.stop - tag.start > LONGEST_TAG:
        return None
    head = start[: tag.stop]
    size = len(head)
    times: list[Time] = []
    parts: list[bytes] = []
    ends: list[tuple[int, int]] = []
    place = 0
    for number in range(first, len(frames)):
        data = frames[number].data
        if not data.startswith(head) or len(data) > LARGEST:
            break
        if data.startswith(HEAD, size):
            found = int.from_bytes(data[size + 2 : size + _HEAD_BYTES], "big")
            seconds, rest, record = found >> 32, found & _LOW, size + _HEAD_BYTES
        elif data[size] == _INTEGER:
            record = size + _INTEGER_BYTES
            seconds, rest = int.from_bytes(data[size + 1 : record], "big"), 0
        else:
            break
        if data[record] not in MAPS or UNREADABLE.search(data, record):
            break
        times.append(seconds * SECOND + rest if seconds else now)
        parts.append(data)
        ends.append((place + record, place + len(data)))
        place += len(data)
    if not times:
        return None
    spans = array("I", chain.from_iterable(ends))
    return str(readable(head[tag.start :])), Events(times, b"".join(parts), spans)
