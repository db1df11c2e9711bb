"""Connections to peers: TCP, TLS and Unix sockets, with a deadline for each step."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Final, TypeAlias

from logpipe.net.client_tls import ClientContexts
from logpipe.net.connection import READ_AHEAD, IdleError
from logpipe.sockets.address import Address, in_url

CONNECT_SECONDS: Final = 30.0
WRITE_SECONDS: Final = 60.0

Deadline: TypeAlias = Callable[[float | None], AbstractAsyncContextManager[Any]]
"""`host.clock.timeout`, or `asyncio.timeout`."""


class ConnectError(ConnectionError):
    """A peer cannot be reached, or is not who it should be."""


class ClientStream:
    """A connection to a peer. What it sends is read only as it is asked for: it waits, and fills no memory."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dialer: Dialer) -> None:
        self._reader = reader
        self._writer = writer
        self._write_seconds = dialer.write_seconds
        self._deadline = dialer.deadline
        self._taken = 0
        self._given_up = False

    @property
    def peer(self) -> str:
        """The peer's address; empty for a Unix socket."""
        name = self._writer.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) else ""

    @property
    def unread(self) -> int:
        """Bytes that have come and were not read."""
        protocol = self._writer.transport.get_protocol()
        return protocol.received - self._taken if isinstance(protocol, _Protocol) else 0

    @property
    def is_quiet(self) -> bool:
        """Whether it is open, and all is read that has come: one that waits in a `Pool` can be used again."""
        protocol = self._writer.transport.get_protocol()
        if not isinstance(protocol, _Protocol) or protocol.has_ended or self._given_up or self._writer.is_closing():
            return False
        return self._taken == protocol.received

    async def wait_unasked(self, seconds: float) -> bool:
        """Return whether the peer says something within so long, or has said it; nothing of it is read."""
        protocol = self._writer.transport.get_protocol()
        if not self.unread and isinstance(protocol, _Protocol):
            with suppress(TimeoutError):
                async with self._deadline(seconds):
                    await protocol.arrival.wait()
        return self.unread > 0

    async def read(self, size: int = READ_AHEAD, *, seconds: float | None) -> bytes:
        """Return what has come, `size` bytes at most, and nothing at the end.

        Raises:
            IdleError: nothing came for so long.
            ConnectionError: the connection has broken.
        """
        try:
            async with self._deadline(seconds):
                found = await self._reader.read(size)
        except TimeoutError:
            self._given_up = True  # an answer may still come, and would be taken for another's
            raise IdleError(f"no answer for {seconds:g} seconds") from None
        except (OSError, ssl.SSLError) as problem:
            raise ConnectionError(_reason(problem)) from problem
        self._taken += len(found)
        return found

    async def write(self, data: bytes) -> None:
        """Send, and wait until the kernel has taken all of it.

        Raises:
            IdleError: it took nothing for too long.
            ConnectionError: the connection has broken.
        """
        if self._writer.is_closing():
            raise ConnectionError("the connection is closed")
        self._writer.write(data)
        try:
            async with self._deadline(self._write_seconds):
                await self._writer.drain()
        except TimeoutError:
            self._given_up = True
            raise IdleError(f"nothing was taken for {self._write_seconds:g} seconds") from None
        except (OSError, ssl.SSLError) as problem:
            raise ConnectionError(_reason(problem)) from problem

    def end(self) -> None:
        """Tell the peer that nothing more comes, while what it says is still read; not with TLS."""
        if not self._writer.is_closing():
            self._writer.write_eof()

    def close(self) -> None:
        """Send what was written, and close; the peer has as long as for a `write` to take it."""
        transport = self._writer.transport
        if not transport.is_closing():
            self._writer.close()
            if transport.get_write_buffer_size():
                asyncio.get_running_loop().call_later(self._write_seconds or 0.0, transport.abort)

    def abort(self) -> None:
        """Break the connection off."""
        self._given_up = True
        self._writer.transport.abort()


class Dialer:
    """Opens connections; a name is resolved at each of them.

    Args:
        contexts: for TLS; None for plain connections.
        connect_seconds: for a connection with all that it needs, look-up and handshake included.
        write_seconds: without a byte taken, `ClientStream.write` fails.
        keepalive: whether the kernel asks a silent peer whether it is still there (SO_KEEPALIVE).
        deadline: `host.clock.timeout`.
    """

    def __init__(
        self,
        *,
        contexts: ClientContexts | None = None,
        connect_seconds: float | None = CONNECT_SECONDS,
        write_seconds: float | None = WRITE_SECONDS,
        keepalive: bool = False,
        deadline: Deadline = asyncio.timeout,
    ) -> None:
        self._contexts = contexts
        self._connect_seconds = connect_seconds
        self.write_seconds = write_seconds
        self._keepalive = keepalive
        self.deadline = deadline

    async def connect(self, address: Address, *, server_name: str = "") -> ClientStream:
        """Return a new connection.

        Args:
            address: where to. Of a name's addresses one is tried after the other.
            server_name: who must answer, by TLS; without it the host of the address.

        Raises:
            ConnectError: the peer cannot be reached, or is not who it should be.
        """
        try:
            async with self.deadline(self._connect_seconds):
                return await self._connected(address, server_name)
        except TimeoutError:
            raise ConnectError(f"no connection to {where(address)} in {self._connect_seconds:g} seconds") from None
        except ssl.SSLCertVerificationError as problem:
            raise ConnectError(f"the certificate of {where(address)}: {problem.verify_message}") from problem
        except OSError as problem:
            raise ConnectError(f"no connection to {where(address)}: {_reason(problem)}") from problem

    async def _connected(self, address: Address, server_name: str) -> ClientStream:
        if address.kind == "unix":
            return await self._open(address, address.path, 0, server_name)
        problem: OSError | None = None
        for host in await resolve(address.host, address.port):
            try:
                return await self._open(address, host, address.port, server_name or address.host)
            except ssl.SSLCertVerificationError:
                raise
            except OSError as raised:
                problem = problem or raised
        raise problem or OSError(errno.EHOSTUNREACH, "the name has no address")

    async def _open(self, address: Address, host: str, port: int, server_name: str) -> ClientStream:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=READ_AHEAD, loop=loop)
        tls: dict[str, Any] = {}
        if self._contexts is not None:
            tls = {"ssl": self._contexts.current(), "server_hostname": server_name or "localhost"}
        if address.kind == "unix":
            made = await loop.create_unix_connection(lambda: _Protocol(reader, loop=loop), host, **tls)
        else:
            made = await loop.create_connection(lambda: _Protocol(reader, loop=loop), host, port, **tls)
        transport, protocol = made
        # so that `write` returns when the kernel has it all; with 0, asyncio's TLS would wait for less than nothing
        transport.set_write_buffer_limits(high=1, low=0)
        if self._keepalive and address.kind == "tcp":
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        return ClientStream(reader, writer, self)


class _Protocol(asyncio.StreamReaderProtocol):
    """Counts the bytes that come, and whether more can."""

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self.received = 0
        self.arrival = asyncio.Event()
        """Set when anything has come, or nothing can come any more."""
        self.has_ended = False

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self.received += len(data)
        self.arrival.set()
        super().data_received(data)

    def eof_received(self) -> bool | None:
        """Take the end."""
        self.has_ended = True
        self.arrival.set()
        super().eof_received()
        return False  # a peer that has closed its side takes nothing either

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of both directions."""
        self.has_ended = True
        self.arrival.set()
        super().connection_lost(exc)


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a name, best first; an address itself has no other.

    Raises:
        OSError: it has none, or the name servers do not answer.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def where(address: Address) -> str:
    """Return how messages name a peer."""
    return str(address) if address.kind == "unix" else in_url(address.host, address.port)


def _reason(problem: OSError) -> str:
    """Return why it failed, in a few words."""
    if isinstance(problem, ssl.SSLError):
        if problem.reason == "WRONG_VERSION_NUMBER":
            return "what answers does not speak TLS"
        return f"TLS: {(problem.reason or str(problem)).replace('_', ' ').lower()}"
    return (problem.strerror or str(problem) or type(problem).__name__).lower()
