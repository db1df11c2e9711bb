"""Peers that a listener meets sooner or later, as assertions: none of them may stall it, fill it, or make it talk."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeAlias

from logpipe.testing.clock import DEADLINE

Ends: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]

GARBAGE: Final[Mapping[str, bytes]] = {
    "nothing": b"",
    "a newline": b"\n",
    "zeros": b"\0" * 4096,
    "every byte": bytes(range(256)) * 16,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 200,
    "half of TLS": b"\x16\x03\x01",
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "half of HTTP": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nx",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    "a header without end": b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000,
    "headers without end": b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 6_000,
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk of no size": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a msgpack array of four billion": b"\xdd\xff\xff\xff\xff" * 100,
}
"""What is sent by who has the wrong port, or means harm."""


@asynccontextmanager
async def connection(port: int, host: str = "127.0.0.1") -> AsyncIterator[Ends]:
    """Connect until the block ends."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield reader, writer
    except BaseException:
        writer.transport.abort()  # whoever has not taken what was written may never do
        raise
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the other side ends the connection, in whatever way.

    Raises:
        TimeoutError: it does not.
    """
    found = bytearray()
    with suppress(ConnectionError):
        async with asyncio.timeout(DEADLINE):
            while data := await reader.read(65536):
                found += data
    return bytes(found)


def reset(port: int, sent: bytes, host: str = "127.0.0.1") -> None:
    """Connect, send, and go without a word: the listener gets a reset in the place of an end."""
    with socket.create_connection((host, port)) as sock:
        sock.sendall(sent)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def check_listener(port: int, works: Callable[[], Awaitable[None]], *, crowd: int = 0) -> None:
    """Assert that a listener goes on working under strangers.

    They send garbage of every kind and end, break off or stay; a crowd of them stays and says nothing. `works` is
    called while they are there, and must do what a well-meaning peer does and raise if it is not served.

    Args:
        port: where it listens, on 127.0.0.1.
        works: a peer that means well.
        crowd: how many stay; for a listener that makes room, more than the connections that it takes at a time.
    """
    await works()
    for sent in GARBAGE.values():
        with suppress(ConnectionError):
            async with connection(port) as (_, writer):
                writer.write(sent)
                with suppress(ConnectionError):
                    await writer.drain()
        with suppress(ConnectionError):
            await asyncio.to_thread(reset, port, sent)
    await works()
    stay = [await asyncio.open_connection("127.0.0.1", port) for _ in range(crowd)]
    try:
        for (_, writer), sent in zip(stay, [*GARBAGE.values()] * (crowd // len(GARBAGE) + 1), strict=False):
            writer.write(sent)
        async with asyncio.timeout(DEADLINE):
            await works()
    finally:
        for _, writer in stay:
            writer.close()
    await works()
