"""A chunk's message: packed events as the buffer has them, in pieces where they are many."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final, TypeAlias

from logpipe import Chunk, Host
from logpipe.builtin.compression import Compression
from logpipe.builtin.forward_protocol import Option, packed_frame

LARGEST: Final = 16 * 1024 * 1024
"""Bytes of events that are held in memory; more are read from the buffer once more, as they are sent."""

Content: TypeAlias = Callable[[], Iterator[bytes]]


class Message:
    """What is sent of a chunk, to one node or to several in turn."""

    def __init__(self, host: Host, content: Content, frame: tuple[bytes, bytes], chunk: str) -> None:
        self.chunk = chunk
        """What the acknowledgement names."""
        self._host = host
        self._content = content
        self._head, self._tail = frame
        self.held: list[bytes] | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield its bytes."""
        yield self._head
        if self.held is not None:
            for piece in self.held:
                yield piece
        else:
            content = await self._host.in_thread(self._content)
            while piece := await self._host.in_thread(next, content, b""):
                yield piece
        yield self._tail


async def message_of(
    chunk: Chunk,
    tag: str,
    content: Content,
    host: Host,
    *,
    compressed: Compression | None,
    with_chunk: bool,
    has_options: bool,
) -> Message:
    """Return a chunk's message.

    Args:
        chunk: the chunk.
        tag: of its events.
        content: yields its events, packed one behind the other, and compressed as `compressed` says; each call anew.
        host: the output's.
        compressed: gzip, zstd, or None.
        with_chunk: whether the server is asked to acknowledge it.
        has_options: whether it has any options.
    """
    # compat: out_forward.rb's Base64 ends with a newline, and the newline comes back
    name = base64.encodebytes(bytes.fromhex(chunk.id)).decode()
    held, size = await host.in_thread(_measured, content)
    option = Option(chunk=name if with_chunk else None, size=len(chunk), compressed=compressed)
    message = Message(host, content, packed_frame(tag, size, option if has_options else Option()), name)
    message.held = held
    return message


def _measured(content: Content) -> tuple[list[bytes] | None, int]:
    """Return the pieces, None where they are too many to be held, and how many bytes they are."""
    held: list[bytes] | None = []
    size = 0
    for piece in content():
        size += len(piece)
        if held is not None:
            held.append(piece)
            held = held if size <= LARGEST else None
    return held, size
