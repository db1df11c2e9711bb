"""A TCP server in front of another one, which can be down, slow, silent, resetting, or answer nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from typing import ClassVar, Final, Self

from logpipe.testing.moods import Mood

PIECE: Final = 65_536
NONSENSE: Final = bytes(range(256)) * 4
"""No answer in any protocol: to one that begins with sizes, it is a very large one that never comes."""
_RESET: Final = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing sends RST."""

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Link:
    """One client's connection."""

    def __init__(self, number: int, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.writer = writer
        self.is_silent = False


class Front:
    """Passes bytes on between clients and HOST:PORT, as its mood has it; `standing` has it listen.

    Derive from it to look at what passes: override `piece` to cut requests and answers where the protocol does, `asked`
    and `answered` to hear of each.

    Attributes:
        port: where clients come to; it is nobody else's while the front is down.
        slowness: seconds by which an answer is late in the mood SLOW.
        silenced: connections that have fallen silent so far.
    """

    moods: ClassVar = frozenset({Mood.DOWN, Mood.SLOW, Mood.SILENT, Mood.RESETTING, Mood.GARBLING})

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self.mood = Mood.WELL
        self.met = 0
        self.slowness = 0.05
        self.silenced = 0
        self._target = (host, port)
        self._listen_on = ""
        self._tls: ssl.SSLContext | None = None
        self._server: asyncio.Server | None = None
        self._links: dict[asyncio.Task[None], Link] = {}
        self._connections = 0

    @contextlib.asynccontextmanager
    async def standing(
        self, *, listen: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> AsyncIterator[Self]:
        """Listen for as long as the block lasts; with `tls`, as the server's side of TLS."""
        with _bound(listen, port) as held:  # and never listening, so that the port stays ours
            self._listen_on, self._tls, self.port = listen, tls, held.getsockname()[1]
            await self._open()
            try:
                yield self
            finally:
                self._close()
                await self._cut()

    async def become(self, mood: Mood) -> None:
        """Be in a mood from now on."""
        self.mood = mood
        if mood is Mood.DOWN:
            self._close()
            await self._cut()
        elif self._server is None:
            await self._open()
        if mood is Mood.SILENT:
            self.fall_silent()

    def fall_silent(self) -> None:
        """Swallow all that the connections of this moment carry; they stay open, and later ones work."""
        for link in self._links.values():
            self.silenced += not link.is_silent
            link.is_silent = True

    async def piece(self, reader: asyncio.StreamReader) -> bytes:
        """Read what is passed on as one: the next bytes.

        Raises:
            EOFError: the connection has ended.
        """
        found = await reader.read(PIECE)
        if not found:
            raise EOFError
        return found

    async def admit(self, client: Ends, server: Ends) -> None:
        """Say what has to be said before requests are passed on; EOFError ends the connection."""

    def asked(self, link: Link, piece: bytes) -> None:
        """Hear of a piece that is passed on to the server."""

    def answered(self, link: Link, piece: bytes) -> None:
        """Hear of a piece that is passed back to the client; EOFError cuts the connection in its place."""

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._accept, sock=_bound(self._listen_on, self.port), ssl=self._tls)

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _cut(self) -> None:
        """End every connection."""
        tasks = list(self._links)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # asyncio.start_server complains about connections that end by being cancelled, as `_cut` has them end
        with contextlib.suppress(asyncio.CancelledError):
            await self._serve(reader, writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections += 1
        link = self._links[task] = Link(self._connections, writer)
        back = None
        try:
            there, back = await asyncio.open_connection(*self._target)
            await self.admit((reader, writer), (there, back))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._requests(link, reader, back))
                group.create_task(self._answers(link, there))
        except* (OSError, EOFError):
            pass
        finally:
            del self._links[task]
            for end in (writer, back):
                if end is not None:
                    end.transport.abort()

    async def _requests(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            piece = await self.piece(reader)
            if link.is_silent or self.mood in {Mood.SILENT, Mood.RESETTING, Mood.GARBLING}:
                await self._misbehave(link)
                continue
            self.asked(link, piece)
            writer.write(piece)
            await writer.drain()

    async def _misbehave(self, link: Link) -> None:
        self.met += 1
        if self.mood is Mood.RESETTING:
            link.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            raise EOFError
        if self.mood is Mood.GARBLING:
            link.writer.write(NONSENSE)
            link.writer.close()
            await link.writer.wait_closed()
            raise EOFError
        self.silenced += not link.is_silent
        link.is_silent = True

    async def _answers(self, link: Link, reader: asyncio.StreamReader) -> None:
        while True:
            piece = await self.piece(reader)
            if self.mood is Mood.SLOW:
                self.met += 1
                await asyncio.sleep(self.slowness)
            self.answered(link, piece)
            if not link.is_silent:
                link.writer.write(piece)
                await link.writer.drain()


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket that has a port, together with others of this user that ask for it like this."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((host, port))
    return sock
