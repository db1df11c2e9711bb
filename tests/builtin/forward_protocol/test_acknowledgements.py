"""Acknowledgements, as an input sends and an output reads them."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from logpipe.builtin.forward_protocol import (
    Frame,
    FrameLimits,
    FrameReader,
    ProtocolError,
    acknowledged,
    acknowledgement,
    read_message,
)

LIMITS = FrameLimits()


@pytest.mark.parametrize("chunk", ["YWJj\n", b"\xff\0", 7, "\udcff"])
def test_acknowledgements(chunk: Any) -> None:
    """A chunk's name comes back in the form that it was sent in."""
    data = msgpack.packb(["t", b"", {"chunk": chunk}], unicode_errors="surrogateescape")
    (frame,) = FrameReader(LIMITS).feed(data)
    assert isinstance(frame, Frame)
    message = read_message(frame, 0, LIMITS)
    assert message is not None
    answer = acknowledgement(message.option.chunk or "")
    assert answer == msgpack.packb({"ack": chunk}, unicode_errors="surrogateescape")
    assert acknowledged(answer) == chunk


def test_acknowledgements_are_frames() -> None:
    """A map, which an output reads as an input reads messages."""
    answers = [acknowledgement("a"), acknowledgement("b")]
    reader, data = FrameReader(LIMITS), b"".join(answers)
    pieces = (data[start : start + 3] for start in range(0, len(data), 3))
    assert [frame.data for piece in pieces for frame in reader.feed(piece) if isinstance(frame, Frame)] == answers


def test_acknowledgements_in_json() -> None:
    assert acknowledgement("c", "json") == b'{"ack":"c"}'


@pytest.mark.parametrize("frame", [b"\xc1", b"\x01", msgpack.packb({"nack": 1}), msgpack.packb([1])])
def test_no_acknowledgement(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        acknowledged(frame)
