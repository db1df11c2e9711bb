"""A listener for streams: TCP, TLS and Unix sockets, one coroutine for each connection."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias

from logpipe.net.accepting import Acceptor, Log, TaskStarter, has_unread
from logpipe.net.limits import Limits
from logpipe.net.tls import Contexts
from logpipe.net.transport import TransportOptions
from logpipe.sockets.endpoint import Endpoint

READ_AHEAD: Final = 65536
"""Bytes of a connection that are read before its stage takes them, and once more on top."""


class IdleError(ConnectionError):
    """A peer has sent nothing for longer than it may, or takes nothing."""


class Connection:
    """One peer. Reading is paused while the stage does not read: the peer waits, nothing fills the memory."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, idle: float | None) -> None:
        self._reader = reader
        self._is_quiet = False
        self._is_silent = False
        """Whether the peer was told that no answer comes any more."""
        self._writer = writer
        self._idle = idle

    @property
    def peer(self) -> str:
        """The peer's address; empty for a Unix socket."""
        name = self._writer.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) else ""

    @property
    def certificate(self) -> dict[str, Any] | None:
        """What a client's certificate says, as `SSLSocket.getpeercert` has it; None where it has shown none."""
        found: dict[str, Any] | None = self._writer.get_extra_info("peercert")
        return found or None

    async def read(self, size: int = READ_AHEAD) -> bytes:
        """Return what has come, `size` bytes at most, and nothing at the end, or when the stage reads no more.

        Raises:
            IdleError: nothing came for too long.
            ConnectionError: the connection has broken.
        """
        try:
            async with asyncio.timeout(self._idle):
                return await self._reader.read(size)
        except TimeoutError:
            raise IdleError(f"{self.peer} has sent nothing for {self._idle:g} seconds") from None
        except ssl.SSLError as problem:
            raise ConnectionError(str(problem)) from problem

    async def write(self, data: bytes) -> None:
        """Send, and wait while the peer does not take it.

        Raises:
            IdleError: it took nothing for too long.
            ConnectionError: the connection has broken.
        """
        if data and not self._is_silent:
            self._writer.write(data)
        try:
            async with asyncio.timeout(self._idle):
                await self._writer.drain()
        except TimeoutError:
            raise IdleError(f"{self.peer} has taken nothing for {self._idle:g} seconds") from None

    def send(self, data: bytes) -> None:
        """Send without waiting, for short answers between two calls of `write`; nothing happens where it has broken."""
        if not self._is_silent and not self._writer.is_closing():
            self._writer.write(data)

    def probe(self) -> None:
        """Have the kernel ask now and then whether the peer is still there (SO_KEEPALIVE)."""
        sock: socket.socket | None = self._writer.get_extra_info("socket")
        if sock is not None and not self._writer.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def end_answers(self) -> bool:
        """Tell the peer that no answer comes any more, while what it still sends is read; returns whether that works.

        It does not with TLS, nor where the connection is closed.
        """
        if self._writer.is_closing() or not self._writer.can_write_eof():
            return False
        try:
            self._writer.write_eof()
        except (OSError, RuntimeError):
            return False
        self._is_silent = True
        return True

    @property
    def has_unread(self) -> bool:
        """Whether bytes have come, or the end, that are still in the kernel."""
        if self._writer.is_closing():
            return False
        sock = self._writer.get_extra_info("socket")
        return sock is not None and has_unread(sock)

    def quiesce(self) -> None:
        """Read no more than what has come already, which is `read` yet; the peer may still be answered."""
        if not self._is_quiet:
            self._is_quiet = True
            protocol = self._writer.transport.get_protocol()
            if isinstance(protocol, _Protocol):
                protocol.is_quiet = True
            self._reader.feed_eof()

    def close(self) -> None:
        """Send what was written, and close; the peer has as long as it may be idle to take it."""
        transport = self._writer.transport
        self._writer.close()
        if transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(self._idle or 0.0, transport.abort)

    def abort(self) -> None:
        """Break the connection off."""
        self._writer.transport.abort()


Serve: TypeAlias = Callable[[Connection], Awaitable[None]]
"""Serves a connection to its end; it is closed behind it. A ConnectionError is the peer's, and said at level debug."""


class Listener:
    """Accepts connections at an endpoint, from `start` to `stop`.

    Args:
        endpoint: where, `host.endpoint(…)`.
        serve: serves one connection.
        log: where trouble is said.
        start_task: `host.start_task`.
        transport: `<transport>`.
        limits: what peers can take.
        backlog: how many may wait in the kernel to be accepted; None for as many as listeners have.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        serve: Serve,
        *,
        log: Log,
        start_task: TaskStarter,
        transport: TransportOptions | None = None,
        limits: Limits | None = None,
        backlog: int | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._serve = serve
        self._log = log
        self._start_task = start_task
        self._transport = transport or TransportOptions()
        self._limits = limits or Limits()
        self._backlog = backlog
        self._acceptor: Acceptor | None = None
        self._open: set[Connection] = set()
        self._by_address: Counter[str] = Counter()
        self._crowds: set[str] = set()
        """Addresses of which it was said that they have too many; they are forgotten when they have none left."""
        self._is_quiet = False

    async def start(self) -> None:
        """Accept.

        Raises:
            ListenError: the endpoint cannot be had.
            TlsError: a certificate, a key or a CA cannot be used.
        """
        contexts = Contexts(self._transport, self._log) if self._transport.protocol == "tls" else None
        sockets = await self._endpoint.open()
        for each in sockets:
            self._transport.set_up(each)
            if self._backlog is not None:
                each.listen(self._backlog)
        self._acceptor = Acceptor(
            self._make,
            transport=self._transport,
            contexts=contexts,
            limits=self._limits,
            log=self._log,
            start_task=self._start_task,
        )
        self._acceptor.start(sockets)

    @property
    def connections(self) -> int:
        """How many there are; for a gauge."""
        return len(self._open)

    def accept_no_more(self) -> None:
        """Let who connects wait in the kernel, for the next graph; open connections go on until `quiesce`."""
        if self._acceptor is not None:
            self._acceptor.quiesce()

    async def quiesce(self) -> None:
        """Accept no more, and read no more: connections come to an end behind what has come and its answers.

        For `Input.quiesce`. Who connects now waits in the kernel, for the next graph.
        """
        self._is_quiet = True
        self.accept_no_more()
        for each in self._open:
            each.quiesce()

    async def stop(self) -> None:
        """Accept no more, and close what is open; safe to call twice."""
        await self.quiesce()
        if self._acceptor is not None:
            await self._acceptor.stop()
        for each in self._open:
            each.close()

    def _make(self) -> asyncio.BaseProtocol:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=READ_AHEAD, loop=loop)
        return _Protocol(reader, self._connected, self._acceptor_ended, loop)

    def _acceptor_ended(self) -> None:
        if self._acceptor is not None:
            self._acceptor.ended()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._start_task(self._served(Connection(reader, writer, self._limits.idle)), name="connection")

    async def _served(self, connection: Connection) -> None:
        self._open.add(connection)
        peer = connection.peer
        self._by_address[peer] += 1
        if self._is_quiet:
            connection.quiesce()
        try:
            if not self._is_one_too_many(peer):
                await self._serve(connection)
        except ConnectionError as problem:
            self._log.debug("a connection has ended: %s", problem)
        finally:
            self._open.discard(connection)
            self._by_address[peer] -= 1
            if not self._by_address[peer]:
                del self._by_address[peer]
                self._crowds.discard(peer)
            with suppress(RuntimeError):  # the loop is about to close
                connection.close()

    def _is_one_too_many(self, peer: str) -> bool:
        most = self._limits.per_address
        if most is None or not peer or self._by_address[peer] <= most:
            return False
        if peer not in self._crowds:
            self._crowds.add(peer)
            self._log.warning("%s has %d connections, as many as one may have: its others are closed", peer, most)
        return True


class _Protocol(asyncio.StreamReaderProtocol):
    """Tells when a connection has ended."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        connected: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None],
        ended: Callable[[], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(reader, connected, loop=loop)
        self._ended = ended
        self.is_quiet = False
        """Whether what comes is not read any more."""

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if not self.is_quiet:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that it has."""
        super().connection_lost(exc)
        self._ended()
