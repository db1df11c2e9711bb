"""What a stage listens through: declared when it is made, opened when it starts."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

from logpipe.config.declare import InvalidSetting
from logpipe.sockets.address import Address
from logpipe.sockets.handed import Leftover
from logpipe.sockets.kept import Sockets
from logpipe.sockets.opening import ListenError, names


class Endpoint:
    """One address of one stage. Its sockets belong to the process: a stage stops using them, and never closes them."""

    def __init__(self, address: Address, owner: str, endpoints: Endpoints) -> None:
        self.address = address
        self._owner = owner
        self._endpoints = endpoints

    async def open(self) -> list[socket.socket]:
        """Return sockets that listen, which are not to be closed.

        Raises:
            ListenError: there can be none.
        """
        return await asyncio.to_thread(self.open_now)

    def open_now(self) -> list[socket.socket]:
        """Do the same; names are looked up meanwhile.

        Raises:
            ListenError: there can be none.
        """
        return self._endpoints.sockets.at(self.address, self._endpoints.addresses)

    def names(self) -> list[tuple[str, int]]:
        """Return where it listens: host and port, or path and 0."""
        return list(names(self.open_now()))

    @property
    def goes_on(self) -> bool:
        """Whether the stage is stopped for another that listens here, in this process or in the program after it."""
        return self.address in self._endpoints.next

    def leave(self, leftover: Leftover) -> None:
        """Keep something, such as connections, for who listens here next."""
        self._endpoints.sockets.leave(self.address, leftover)

    def found(self) -> Leftover | None:
        """Return what the one before has left here, once."""
        return self._endpoints.sockets.found(self.address)

    def open_ahead(self) -> None:
        """Open it while another graph still runs.

        Raises:
            ListenError: there can be no sockets; it says whose.
        """
        try:
            self._endpoints.sockets.ahead(self.address, self._endpoints.addresses)
        except ListenError as problem:
            raise ListenError(f"{self._owner}: {problem}") from problem


class Endpoints:
    """The endpoints of one graph. Declaring touches nothing."""

    def __init__(self) -> None:
        self._all: dict[Address, Endpoint] = {}
        self._own = Sockets()
        self.sockets = self._own
        """Those of the process, where somebody has set them; else the graph's own."""
        self.next: frozenset[Address] = frozenset()
        """Where the graph that comes after listens, when this one is stopped for it."""

    @property
    def addresses(self) -> frozenset[Address]:
        """Where the graph listens."""
        return frozenset(self._all)

    def declare(self, address: Address, owner: str) -> Endpoint:
        """Return a stage's endpoint.

        Raises:
            InvalidSetting: another stage of the graph listens there.
        """
        while address.port == 0 and not address.is_file and address in self._all:
            address = replace(address, number=address.number + 1)
        if address in self._all:
            raise InvalidSetting(f"{address} is already used by {self._all[address]._owner}: give each its own")  # noqa: SLF001
        endpoint = self._all[address] = Endpoint(address, owner, self)
        return endpoint

    def open_ahead(self) -> None:
        """Open all of them, while another graph still runs.

        Raises:
            ListenError: one cannot be opened; it says whose.
        """
        for endpoint in self._all.values():
            endpoint.open_ahead()

    async def settle(self) -> None:
        """Close what earlier graphs have listened at and this one does not; to be called when it has started."""
        await self.sockets.settle(self.addresses)

    async def close(self) -> None:
        """Close the sockets, unless they are the process's."""
        await self._own.close()
