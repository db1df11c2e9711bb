"""The names of clients, as the machine's resolver has them."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from logpipe import InputHost

_AT_ONCE: Final = 2
"""How many names are looked up at a time: where that takes long, other work needs the threads."""
_PATIENCE: Final = 5.0
_KEPT: Final = 300.0
_MOST_KNOWN: Final = 4096


class Names:
    """The names of clients, as far as they are known soon enough."""

    def __init__(self, host: InputHost) -> None:
        self._host = host
        self._known: dict[str, tuple[float, str]] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def of(self, address: str) -> str:
        """Return the name of an address; the address itself where it has none."""
        now = self._host.clock.monotonic()
        known = self._known.get(address)
        if known is not None and known[0] > now:
            return known[1]
        name = address
        try:
            async with self._host.clock.timeout(_PATIENCE), self._turns:
                name = await self._host.in_thread(_name_of, address)
        except TimeoutError:
            pass
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[address] = (now + _KEPT, name)
        return name


def _name_of(address: str) -> str:
    try:
        return socket.getnameinfo((address, 0), 0)[0]
    except OSError:
        return address
