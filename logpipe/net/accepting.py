"""Accepts connections on a stage's sockets: so many at a time, and each TLS handshake within its time."""

from __future__ import annotations

import asyncio
import errno
import logging
import select
import socket
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, Protocol

from logpipe.net.limits import Limits
from logpipe.net.tls import Contexts
from logpipe.net.transport import TransportOptions

AT_ONCE: Final = 64
"""Connections that are accepted before others get a turn."""
HURRY: Final = 1.0
"""Seconds that handshakes have left when the stage stops."""
PAUSE: Final = 1.0
"""Seconds without accepting where the machine has no descriptor left; and before it is said that others wait."""
CHANCE: Final = 0.25
"""Seconds that a new connection has for its first bytes before it may have to make room; and between two attempts to
make room."""

Log = logging.Logger | logging.LoggerAdapter[Any]


class TaskStarter(Protocol):
    """`Host.start_task`."""

    def __call__(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """Run work beside the stage."""
        ...


def has_unread(sock: socket.socket) -> bool:
    """Return whether bytes have come, or the end, that nobody has read yet."""
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class Acceptor:
    """Accepts until `stop`. Whoever makes the protocols calls `ended` once for each that `connection_lost` comes to.

    Args:
        make: makes the protocol of a connection.
        transport: its settings.
        contexts: for TLS; None for a plain listener.
        limits: how many, and how long.
        log: where trouble is said.
        start_task: runs the handshakes.
        make_room: called when there are as many connections as there may be; returns whether it has closed one.
    """

    def __init__(
        self,
        make: Callable[[], asyncio.BaseProtocol],
        *,
        transport: TransportOptions,
        contexts: Contexts | None,
        limits: Limits,
        log: Log,
        start_task: TaskStarter,
        make_room: Callable[[], bool] = bool,
    ) -> None:
        self._make = make
        self._transport = transport
        self._contexts = contexts
        self._limits = limits
        self._log = log
        self._start_task = start_task
        self._make_room = make_room
        self._sockets: list[socket.socket] = []
        self._shaking: dict[socket.socket, asyncio.Timeout] = {}
        self._unmade = 0
        """Connections that were accepted and have no protocol yet."""
        self._all_made = asyncio.Event()
        self._all_made.set()
        self._is_waiting = False
        self._full_since: float | None = None
        """Since when nobody could be accepted for want of room."""
        self._has_warned = False
        self._pause: asyncio.TimerHandle | None = None
        self.count = 0
        """Connections, those in their handshakes too."""

    def start(self, sockets: list[socket.socket], count: int = 0) -> None:
        """Accept on sockets that stay the caller's; `count` connections are there already."""
        self._sockets = list(sockets)
        self.count = count
        for each in sockets:
            each.setblocking(False)
        self._resume()

    def quiesce(self) -> None:
        """Accept no more; what comes waits in the kernel."""
        self._hold()
        self._sockets = []

    async def stop(self) -> None:
        """Accept no more, and wait a moment for handshakes."""
        self.quiesce()
        latest = asyncio.get_running_loop().time() + HURRY
        for scope in self._shaking.values():
            scope.reschedule(min(scope.when() or 0.0, latest))
        await self._all_made.wait()

    def ended(self) -> None:
        """Note that a connection has ended."""
        self.count -= 1
        self.try_again()

    def try_again(self) -> None:
        """Accept those that wait, where there may be room for them now."""
        if self._is_waiting and self._sockets:
            self._resume()

    def _resume(self) -> None:
        self._is_waiting = False
        self._cancel_pause()
        loop = asyncio.get_running_loop()
        for each in self._sockets:
            loop.add_reader(each.fileno(), self._accept, each)

    def _hold(self) -> None:
        """Accept nothing for now."""
        loop = asyncio.get_running_loop()
        for each in self._sockets:
            loop.remove_reader(each.fileno())
        self._cancel_pause()

    def _cancel_pause(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    def _accept(self, listening: socket.socket) -> None:
        for number in range(AT_ONCE):
            is_full = self.count >= self._limits.connections
            if is_full and number:
                return  # if one waits, this is called again
            if is_full and not self._has_made_room():
                self._wait_for_room()
                return
            self._full_since = None
            try:
                connection, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as problem:
                self._cannot_accept(problem)
                return
            self._take(connection)

    def _has_made_room(self) -> bool:
        if self._make_room():
            return True
        latest = asyncio.get_running_loop().time() + self._limits.handshake - CHANCE
        for each, scope in self._shaking.items():  # the one that takes longest comes first
            if (scope.when() or 0.0) <= latest and not has_unread(each):
                del self._shaking[each]
                scope.reschedule(0.0)
                return True
        return False

    def _wait_for_room(self) -> None:
        loop = asyncio.get_running_loop()
        self._is_waiting = True
        self._hold()
        self._pause = loop.call_later(CHANCE, self._resume)
        if self._full_since is None:
            self._full_since = loop.time()
        if not self._has_warned and loop.time() - self._full_since >= PAUSE:
            self._has_warned = True
            self._log.warning("there are %d connections, as many as there may be: others wait", self.count)

    def _cannot_accept(self, problem: OSError) -> None:
        level = logging.ERROR if problem.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM} else logging.WARNING
        self._log.log(level, "cannot accept connections, trying again in a second: %s", problem.strerror or problem)
        self._hold()
        self._pause = asyncio.get_running_loop().call_later(PAUSE, self._resume)

    def _take(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        with suppress(OSError):  # it is reset already, which the handshake finds
            self._transport.set_up(connection)
        self.count += 1
        self._unmade += 1
        self._all_made.clear()
        self._start_task(self._make_connection(connection), name="handshake")

    async def _make_connection(self, connection: socket.socket) -> None:
        # a stage whose tasks are cancelled at a reload has accepted it, and the next one serves it
        await asyncio.shield(self._shake(connection))

    async def _shake(self, connection: socket.socket) -> None:
        """Make a connection of what was accepted."""
        loop = asyncio.get_running_loop()
        is_made = False
        try:
            async with asyncio.timeout(self._limits.handshake) as scope:
                context = None
                if self._contexts is not None:
                    self._shaking[connection] = scope
                    context = self._contexts.current()
                await loop.connect_accepted_socket(self._make, connection, ssl=context)
                is_made = True
        except (OSError, TimeoutError, ssl.SSLError, asyncio.IncompleteReadError) as problem:
            self._log.debug("a client did not get through: %s", problem or "it took too long")
        finally:
            self._shaking.pop(connection, None)
            self._unmade -= 1
            if not self._unmade:
                self._all_made.set()
            if not is_made:
                connection.close()
                self.ended()
