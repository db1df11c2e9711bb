"""One connection of a listener."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol, cast, runtime_checkable

from logpipe.net.accepting import has_unread
from logpipe.sockets.handed import duplicate

READ_AHEAD: Final = 65536
"""Bytes of a connection that are read before its stage takes them, and once more on top."""


class IdleError(ConnectionError):
    """A peer has sent nothing for longer than it may, or takes nothing."""


@runtime_checkable
class Rest(Protocol):
    """What a stage keeps of a connection that it lets go of, if another program may go on with it."""

    def unread(self) -> bytes | None:
        """Return what has come of a message that is not whole, to be read anew; None where that does not do."""
        ...


class Connection:
    """One peer. Reading is paused while the stage does not read: the peer waits, nothing fills the memory."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, idle: float | None) -> None:
        self._reader = reader
        self._is_quiet = False
        self._is_silent = False
        """Whether the peer was told that no answer comes any more."""
        self._writer = writer
        self._idle = idle
        self._reading: asyncio.Timeout | None = None
        self.is_let_go = False
        """Whether its stage has let go of it."""
        self.rest: object = None
        """What the stage before has kept of it, and the next one needs."""

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
        """Return what has come, `size` bytes at most, and nothing at the end, or when the stage lets go of it.

        Raises:
            IdleError: nothing came for too long.
            ConnectionError: the connection has broken.
        """
        try:
            async with asyncio.timeout(0.0 if self.is_let_go else self._idle) as self._reading:
                return await self._reader.read(size)
        except TimeoutError:
            if self.is_let_go:
                return b""
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
    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._writer.is_closing()

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
            if isinstance(protocol, ConnectionProtocol):
                protocol.is_quiet = True
            self._reader.feed_eof()

    def let_go(self) -> None:
        """Read no more than what has come already; the next stage may go on with it, unless it comes to its end."""
        if self.is_let_go or self._is_quiet:
            return
        self.is_let_go = True
        protocol = self._writer.transport.get_protocol()
        if isinstance(protocol, ConnectionProtocol):
            protocol.hold()
        if self._reading is not None and not self._reading.expired():
            with suppress(RuntimeError):  # nobody reads at this moment
                self._reading.reschedule(0.0)

    def go_on(self, ended: Callable[[], None], idle: float | None) -> bool:
        """Be another stage's; returns whether it is still open.

        Args:
            ended: called when it has ended.
            idle: how long the peer may be silent.
        """
        protocol = self._writer.transport.get_protocol()
        if not isinstance(protocol, ConnectionProtocol):
            return False
        self.is_let_go, self._reading, self._idle = False, None, idle
        is_open = not protocol.has_ended
        protocol.ended = ended if is_open else _nothing
        protocol.go_on()
        return is_open

    def hand_over(self) -> tuple[socket.socket | None, bytes]:
        """Let go of it for good, for another program; returns a descriptor of it, if it may have one, and what waits.

        It may not with TLS, nor while something is to be sent or the stage's state says so.
        """
        transport = self._writer.transport
        protocol = transport.get_protocol()
        unread = b"" if self.rest is None else self.rest.unread() if isinstance(self.rest, Rest) else None
        is_plain = transport.get_extra_info("ssl_object") is None
        if unread is None or not is_plain or transport.get_write_buffer_size() or transport.is_closing():
            return None, b""
        if not isinstance(protocol, ConnectionProtocol) or protocol.has_ended:
            return None, b""
        sock = duplicate(transport.get_extra_info("socket"))
        transport.abort()
        read = bytes(self._reader._buffer)  # type: ignore[attr-defined]  # noqa: SLF001 - it has no other way
        return sock, unread + read + protocol.waiting

    def close(self) -> None:
        """Send what was written, and close; the peer has as long as it may be idle to take it."""
        transport = self._writer.transport
        self._writer.close()
        if transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(self._idle or 0.0, transport.abort)

    def abort(self) -> None:
        """Break the connection off."""
        self._writer.transport.abort()


def _nothing() -> None:
    """Do nothing."""


class ConnectionProtocol(asyncio.StreamReaderProtocol):
    """Tells when a connection has ended; what comes while it is let go of waits for the stage that goes on with it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        connected: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None],
        ended: Callable[[], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(reader, connected, loop=loop)
        self.ended = ended
        self.is_quiet = False
        """Whether what comes is not read any more."""
        self._transport_in: asyncio.ReadTransport | None = None
        self.begin = b""
        """What has come before there was this object."""
        self._waiting: bytearray | None = None
        """What has come while nobody reads; None while somebody does."""
        self.has_ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport_in = cast("asyncio.Transport", transport)  # uvloop's are none by their class
        super().connection_made(transport)
        if self.begin:
            super().data_received(self.begin)

    @property
    def waiting(self) -> bytes:
        """What has come while nobody reads."""
        return bytes(self._waiting or b"")

    def hold(self) -> None:
        """Have what comes wait in the kernel."""
        self._waiting = bytearray()
        self._pause()

    def go_on(self) -> None:
        """Read on."""
        self._flush()
        self._waiting = None
        if self._transport_in is not None and not self._transport_in.is_closing():
            self._transport_in.resume_reading()

    def _flush(self) -> None:
        if self._waiting:
            waiting, self._waiting = bytes(self._waiting), bytearray()
            super().data_received(waiting)

    def _pause(self) -> None:
        if self._transport_in is not None and not self._transport_in.is_closing():
            self._transport_in.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if self._waiting is not None:  # the reader has gone on by itself, when it was read empty
            self._waiting += data
            self._pause()
        elif not self.is_quiet:
            super().data_received(data)

    def eof_received(self) -> bool | None:
        """Take the end, behind what has come."""
        self._flush()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that it has ended."""
        self._flush()
        self.has_ended = True
        super().connection_lost(exc)
        self.ended()
