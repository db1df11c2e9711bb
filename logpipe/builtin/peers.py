"""Who sends: the names of addresses, as far as they are known soon enough, and networks that may."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from typing import Final, TypeAlias

from logpipe import Host, InputHost

AT_ONCE: Final = 2
"""How many names are looked up at a time: where that takes long, other work needs the threads."""
MOST_ASKED: Final = 64
"""How many may wait for their turn; more addresses are written as they are."""
PATIENCE: Final = 1.0
"""Seconds that messages wait for names."""
IMPATIENCE: Final = 10.0
"""Seconds without waiting after they have waited in vain."""
KEPT: Final = 300.0
"""Seconds for which a name is known, or that there is none."""
MOST_KNOWN: Final = 4096
RETRY: Final = 30.0
"""Seconds until a client's name that stands for nothing is looked up again."""

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class PeerNames:
    """The names of addresses; of one that has none, or none that is found in time, the address itself.

    compat: Ruby's getnameinfo does the same, and waits for each for as long as the resolver does.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._known: dict[str, tuple[float, str]] = {}
        self._asked: dict[str, asyncio.Future[None]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._patient_from = 0.0

    async def of(self, address: str) -> str:
        """Return the name of an address."""
        return (await self.of_all([address]))[address]

    async def of_all(self, addresses: Iterable[str]) -> dict[str, str]:
        """Return the name of each address."""
        wanted = {*addresses}
        now = self._host.clock.monotonic()
        known = self._known
        unknown = [each for each in wanted if each not in known or known[each][0] <= now]
        for each in unknown:
            if each not in self._asked and len(self._asked) < MOST_ASKED:
                self._asked[each] = asyncio.get_running_loop().create_future()
                self._host.start_task(self._look_up(each), name="look up a name")
        awaited = [self._asked[each] for each in unknown if each in self._asked]
        if awaited and now >= self._patient_from:
            _, late = await asyncio.wait(awaited, timeout=PATIENCE)
            if late:
                self._patient_from = self._host.clock.monotonic() + IMPATIENCE
        return {each: known[each][1] if each in known else each for each in wanted}

    async def _look_up(self, address: str) -> None:
        try:
            async with self._turns:
                name = await self._host.in_thread(name_of, address)
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[address] = (self._host.clock.monotonic() + KEPT, name)
        finally:
            self._asked.pop(address).set_result(None)


def name_of(address: str) -> str:
    """Return the name of an address, or the address."""
    try:
        return socket.getnameinfo((address, 0), 0)[0]
    except OSError:
        return address


class Networks:
    """Where those are who may send.

    Args:
        networks: `10.0.0.0/8`.
        hosts: addresses or names, which are looked up by `look_up`.
    """

    def __init__(self, networks: Iterable[str], hosts: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(each, strict=False) for each in networks]
        self._names: list[str] = []
        for each in hosts:
            try:
                self._networks.append(ipaddress.ip_network(each))
            except ValueError:
                self._names.append(each)

    def __contains__(self, address: str) -> bool:
        where = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(where, ipaddress.IPv6Address) and where.ipv4_mapped is not None:
            where = where.ipv4_mapped
        return any(where in network for network in self._networks)

    async def look_up(self, host: InputHost) -> None:
        """Look up the names once; those that stand for nothing are left for `look_up_again`."""
        for name in self._names.copy():
            found = await host.in_thread(_addresses, name)
            self._networks += found
            if found:
                self._names.remove(name)
            else:
                host.log.warning("host '%s' of <client> cannot be resolved: trying again", name)

    async def look_up_again(self, host: InputHost) -> None:
        """Look up what stood for nothing, until all stand for something."""
        while self._names:
            await host.clock.sleep(RETRY)
            await self.look_up(host)


def _addresses(name: str) -> list[_Network]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [ipaddress.ip_network(str(each[4][0]).partition("%")[0]) for each in found]
