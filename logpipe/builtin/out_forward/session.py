"""What is said on one connection: the handshake, and acknowledgements. What a peer says is bounded, and not trusted."""

from __future__ import annotations

from typing import Any, Final

import msgpack

from logpipe.builtin.forward_protocol import (
    HANDSHAKE_LIMITS,
    ClientHandshake,
    Frame,
    FrameReader,
    ProtocolError,
    acknowledged,
)
from logpipe.net import ClientStream

LARGEST_ACK: Final = 4096
"""Bytes of an acknowledgement: it holds the name of a chunk."""
_HELO: Final = b"\x92\xa4HELO"


class AnswerError(ConnectionError):
    """What a server has answered is not what was asked for, or it ended the connection in the place of an answer."""


async def shake_hands(stream: ClientStream, handshake: ClientHandshake, seconds: float) -> None:
    """Have the server let us in.

    Raises:
        ProtocolError: it does not, or speaks something else.
        ConnectionError: the connection has broken, or the server is silent.
    """
    reader = FrameReader(HANDSHAKE_LIMITS, json=False)
    await stream.write(handshake.ping(await _frame(stream, reader, "HELO", seconds)))
    handshake.check(await _frame(stream, reader, "PONG", seconds))


async def _frame(stream: ClientStream, reader: FrameReader, name: str, seconds: float) -> bytes:
    while data := await stream.read(seconds=seconds):
        for frame in reader.feed(data):
            if not isinstance(frame, Frame):
                raise ProtocolError(f"a {name} of {frame.size} bytes")
            return frame.data
    raise AnswerError(f"it closed the connection in the place of {name}: has it a <security>, and the same shared_key?")


async def wait_for_ack(stream: ClientStream, chunk: str, seconds: float) -> None:
    """Wait until the server acknowledges a chunk.

    Raises:
        AnswerError: it said something else.
        ConnectionError: the connection has broken, or the server is silent.
    """
    held = b""
    unpacker: Any = msgpack.Unpacker(max_buffer_size=LARGEST_ACK)
    while True:
        data = await stream.read(LARGEST_ACK, seconds=seconds)
        if not data:
            raise AnswerError("destination node closed the connection, and has acknowledged nothing")
        held += data
        if len(held) > LARGEST_ACK:
            raise AnswerError(f"an acknowledgement of more than {LARGEST_ACK} bytes")
        unpacker.feed(data)
        try:
            unpacker.skip()
        except msgpack.OutOfData:
            continue
        except (ValueError, msgpack.UnpackException) as problem:
            raise AnswerError(f"what it answers is no MessagePack: {held[:32]!r}") from problem
        break
    end = int(unpacker.tell())
    if held.startswith(_HELO):
        raise AnswerError("the server asks who we are: write <security>")
    try:
        found = acknowledged(held[:end])
    except ProtocolError as problem:
        raise AnswerError(str(problem)) from None
    if found not in {chunk, chunk.encode()} or end != len(held):
        raise AnswerError(f"ack in response and chunk id in sent data are different: {str(found)[:64]!r}")


async def look_for_questions(stream: ClientStream, seconds: float = 0.0) -> None:
    """Look whether the server says anything within so long, where it has nothing to say.

    Raises:
        AnswerError: it has.
    """
    if stream.unread or (seconds and await stream.wait_unasked(seconds)):
        said = await stream.read(LARGEST_ACK, seconds=1)
        hint = "the server asks who we are: write <security>" if said.startswith(_HELO) else f"it said {said[:32]!r}"
        raise AnswerError(hint)
