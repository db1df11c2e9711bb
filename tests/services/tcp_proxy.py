"""What stands between a client and a broker, and loses the answers that it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator

from logpipe.testing import Front, Link

PRODUCE = 0
SIZE = struct.Struct(">i")
REQUEST = struct.Struct(">hhi")
_ANSWER = struct.Struct(">i")


class TcpProxy(Front):
    """Passes Kafka's requests and answers on.

    Attributes:
        lost_answers: answers to Produce requests that were lost so far.
    """

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.lost_answers = 0
        self._to_lose = 0
        self._doomed: set[tuple[int, int]] = set()

    def lose_answers(self, count: int) -> None:
        """Have the next Produce requests written by the broker, and cut the connection in place of its answer."""
        self._to_lose += count

    async def piece(self, reader: asyncio.StreamReader) -> bytes:
        """Read a request or an answer, with the four bytes of its size."""
        size = await reader.readexactly(SIZE.size)
        return size + await reader.readexactly(*SIZE.unpack(size))

    def asked(self, link: Link, piece: bytes) -> None:
        """Choose the requests whose answers will be lost."""
        kind, _, request = REQUEST.unpack_from(piece, SIZE.size)
        if kind == PRODUCE and self._to_lose:
            self._to_lose -= 1
            self._doomed.add((link.number, request))

    def answered(self, link: Link, piece: bytes) -> None:
        """Lose an answer."""
        if (link.number, *_ANSWER.unpack_from(piece, SIZE.size)) in self._doomed:
            self.lost_answers += 1
            raise EOFError("the answer is lost")


@contextlib.asynccontextmanager
async def tcp_proxy(
    address: str, *, listen: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[TcpProxy]:
    """Stand in front of HOST:PORT for as long as the block lasts; with `tls`, as the broker's side of TLS."""
    async with TcpProxy(*split(address)).standing(listen=listen, port=port, tls=tls) as proxy:
        yield proxy


def split(address: str) -> tuple[str, int]:
    """Return the host and the port of HOST:PORT."""
    host, _, port = address.rpartition(":")
    return host, int(port)
