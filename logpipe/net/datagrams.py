"""A listener for datagrams."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

from logpipe.net.accepting import Log
from logpipe.net.transport import TransportOptions
from logpipe.sockets.endpoint import Endpoint

AT_ONCE: Final = 256
"""Datagrams that are read before others get a turn."""

_TABLES: Final = (Path("/proc/net/udp"), Path("/proc/net/udp6"))
"""The kernel's, with the inode of each socket in the tenth column, and what was dropped in the last."""

Take: TypeAlias = Callable[[list[tuple[bytes, Any]]], None]
"""Takes datagrams with the addresses they came from, (host, port, …): all that could be read in one turn."""


class Datagrams:
    """Reads datagrams at an endpoint, from `start` to `stop`; what comes in between waits in the kernel's buffer.

    Args:
        endpoint: where, `host.endpoint(…)`.
        take: is called in the loop.
        log: where trouble is said.
        transport: `<transport>`.
        longest: bytes of a datagram; what is beyond is cut off.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        take: Take,
        *,
        log: Log,
        transport: TransportOptions | None = None,
        longest: int = 65536,
    ) -> None:
        self._endpoint = endpoint
        self._take = take
        self._log = log
        self._transport = transport or TransportOptions(protocol="udp")
        self._longest = longest
        self._sockets: list[socket.socket] = []

    async def start(self) -> None:
        """Read.

        Raises:
            ListenError: the endpoint cannot be had.
        """
        self._sockets = await self._endpoint.open()
        for each in self._sockets:
            each.setblocking(False)
            self._transport.set_up(each)
        self.resume()

    def answer(self, data: bytes, address: Any) -> None:
        """Send a datagram to who has sent one; it is lost where it cannot be sent at once, as any may be."""
        if not address:  # of a Unix socket without a name
            return
        family = socket.AF_UNIX
        if isinstance(address, tuple):
            family = socket.AF_INET6 if len(address) > 2 else socket.AF_INET
        for each in self._sockets:
            if each.family == family:
                with suppress(OSError):
                    each.sendto(data, address)
                return

    def dropped(self) -> int:
        """Return how many datagrams the kernel has dropped since the sockets were opened, for want of room in them.

        For a gauge; 0 where the system does not say it.
        """
        wanted = {str(os.fstat(each.fileno()).st_ino) for each in self._sockets}
        total = 0
        for table in _TABLES if wanted else ():
            with suppress(OSError):
                rows = map(str.split, table.read_text().splitlines()[1:])
                total += sum(int(row[-1]) for row in rows if row[9] in wanted)
        return total

    def resume(self) -> None:
        """Read on after `pause`."""
        for each in self._sockets:
            asyncio.get_running_loop().add_reader(each.fileno(), self._read, each)

    def pause(self) -> None:
        """Read nothing for now, while outputs take nothing say: the kernel keeps what it has room for."""
        for each in self._sockets:
            asyncio.get_running_loop().remove_reader(each.fileno())

    async def quiesce(self) -> None:
        """Read no more, for `Input.quiesce`; what comes waits in the kernel, for the next graph."""
        self.pause()

    async def stop(self) -> None:
        """Read no more; safe to call twice."""
        self.pause()
        self._sockets = []

    def _read(self, sock: socket.socket) -> None:
        found: list[tuple[bytes, Any]] = []
        try:
            while len(found) < AT_ONCE:
                found.append(sock.recvfrom(self._longest))
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as problem:
            self._log.debug("cannot read a datagram: %s", problem)
        if found:
            self._take(found)
