"""What stands between a client and a broker, and loses what it is told to: answers, or everything without a word."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator
from typing import TypeVar

PRODUCE = 0
SIZE = struct.Struct(">i")
REQUEST = struct.Struct(">hhi")
_ANSWER = struct.Struct(">i")

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
P = TypeVar("P", bound="TcpProxy")


class TcpProxy:
    """Passes Kafka's requests and answers on.

    Attributes:
        port: where clients come to.
        lost_answers: answers to Produce requests that were lost so far.
        silenced: connections that have fallen silent so far.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self.lost_answers = 0
        self.silenced = 0
        self._target = (host, port)
        self._to_lose = 0
        self._doomed: set[tuple[int, int]] = set()
        self._open: set[int] = set()
        self._silent: set[int] = set()
        self._connections = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def lose_answers(self, count: int) -> None:
        """Have the next Produce requests written by the broker, and cut the connection in place of its answer."""
        self._to_lose += count

    def fall_silent(self) -> None:
        """Swallow all that the connections of this moment carry; they stay open, and later ones work."""
        self.silenced += len(self._open - self._silent)
        self._silent |= self._open

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        # asyncio.start_server complains about connections that end by being cancelled, as `close` has them end.
        with contextlib.suppress(asyncio.CancelledError):
            await self._serve(reader, writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._connections += 1
        number = self._connections
        self._open.add(number)
        back = None
        try:
            there, back = await asyncio.open_connection(*self._target)
            await self._admit((reader, writer), (there, back))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._requests(number, reader, back))
                group.create_task(self._answers(number, there, writer))
        except* (OSError, EOFError):
            pass
        finally:
            self._open.discard(number)
            self._tasks.discard(task)
            for end in (writer, back):
                if end is not None:
                    end.transport.abort()

    async def _admit(self, client: Ends, broker: Ends) -> None:
        """Say what has to be said before requests are passed on; EOFError ends the connection."""

    async def _requests(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            frame = await read_frame(reader)
            kind, _, request = REQUEST.unpack_from(frame, SIZE.size)
            if number in self._silent:
                continue
            if kind == PRODUCE and self._to_lose:
                self._to_lose -= 1
                self._doomed.add((number, request))
            writer.write(frame)

    async def _answers(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            frame = await read_frame(reader)
            (request,) = _ANSWER.unpack_from(frame, SIZE.size)
            if (number, request) in self._doomed:
                self.lost_answers += 1
                raise EOFError("the answer is lost")
            if number not in self._silent:
                writer.write(frame)

    async def close(self) -> None:
        """Cut what is still open."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """Return a request or an answer, with the four bytes of its size."""
    size = await reader.readexactly(SIZE.size)
    return size + await reader.readexactly(*SIZE.unpack(size))


@contextlib.asynccontextmanager
async def tcp_proxy(
    address: str, *, listen: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[TcpProxy]:
    """Stand in front of HOST:PORT for as long as the block lasts; with `tls`, as the broker's side of TLS."""
    async with standing(TcpProxy(*split(address)), listen=listen, port=port, tls=tls) as proxy:
        yield proxy


@contextlib.asynccontextmanager
async def standing(
    proxy: P, *, listen: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[P]:
    """Have a proxy listen for as long as the block lasts."""
    server = await asyncio.start_server(proxy.accept, listen, port, ssl=tls)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()


def split(address: str) -> tuple[str, int]:
    """Return the host and the port of HOST:PORT."""
    host, _, port = address.rpartition(":")
    return host, int(port)
