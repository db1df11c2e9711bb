"""A listener for streams: TCP, TLS and Unix sockets, one coroutine for each connection."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TypeAlias

from logpipe.net.accepting import Acceptor, Log, TaskStarter
from logpipe.net.connection import READ_AHEAD, Connection, ConnectionProtocol
from logpipe.net.kept import Kept
from logpipe.net.limits import Limits
from logpipe.net.tls import Contexts
from logpipe.net.transport import TransportOptions
from logpipe.sockets.endpoint import Endpoint
from logpipe.sockets.handed import Handed

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
        terms: what connections are served under: a listener at the same address with equal ones goes on with those that
            its `serve` has returned of without their end (`Connection.rest`); None where they end with the stage.
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
        terms: object = None,
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
        self._terms = None if terms is None else (terms, vars(self._transport))
        self._let_go: list[Connection] = []

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
        self._acceptor.start(sockets, await self._go_on())

    async def _go_on(self) -> int:
        """Serve the connections that were left here; returns how many there are."""
        found = self._endpoint.found()
        if isinstance(found, Handed):
            return await self._adopt(found)
        if not isinstance(found, Kept) or found.terms != self._terms:
            if found is not None:
                await found.close()
            return 0
        count = 0
        for each in found.connections:
            count += each.go_on(self._acceptor_ended, self._limits.idle)
            self._start_task(self._served(each), name="connection")
        return count

    async def _adopt(self, found: Handed) -> int:
        """Serve the connections that another program has left in this process; returns how many there are."""
        count = 0
        for each in found.under(repr(self._terms)):
            with suppress(OSError):  # it has ended
                await asyncio.get_running_loop().connect_accepted_socket(partial(self._make, each.waiting), each.sock)
                count += 1
        return count

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
            self._release(each)

    def _release(self, connection: Connection) -> None:
        if self._terms is None:
            connection.quiesce()
        else:
            connection.let_go()

    async def stop(self) -> None:
        """Accept no more, and close what is open; safe to call twice."""
        await self.quiesce()
        if self._acceptor is not None:
            await self._acceptor.stop()
        for each in self._open:
            each.close()
        if self._let_go:
            self._endpoint.leave(Kept(self._terms, self._let_go))
            self._let_go = []

    def _make(self, begin: bytes = b"") -> asyncio.BaseProtocol:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=READ_AHEAD, loop=loop)
        made = ConnectionProtocol(reader, self._connected, self._acceptor_ended, loop)
        made.begin = begin
        return made

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
            self._release(connection)
        ends = True
        try:
            if not self._is_one_too_many(peer):
                await self._serve(connection)
                ends = not connection.is_let_go or connection.is_closing
        except ConnectionError as problem:
            self._log.debug("a connection has ended: %s", problem)
        finally:
            self._open.discard(connection)
            self._by_address[peer] -= 1
            if not self._by_address[peer]:
                del self._by_address[peer]
                self._crowds.discard(peer)
            if ends:
                with suppress(RuntimeError):  # the loop is about to close
                    connection.close()
            else:
                self._let_go.append(connection)

    def _is_one_too_many(self, peer: str) -> bool:
        most = self._limits.per_address
        if most is None or not peer or self._by_address[peer] <= most:
            return False
        if peer not in self._crowds:
            self._crowds.add(peer)
            self._log.warning("%s has %d connections, as many as one may have: its others are closed", peer, most)
        return True
