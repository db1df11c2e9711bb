"""The listening sockets of a process, by address: a configuration that is read again finds them open."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Collection, Iterable, Mapping
from threading import Lock
from typing import NamedTuple

from logpipe.sockets.address import Address
from logpipe.sockets.handed import HandedConnection, Leftover
from logpipe.sockets.opening import Here, ListenError, Opener, open_all


class LeftOpen(NamedTuple):
    """What the program that takes the place of this one finds open."""

    listening: list[socket.socket]
    connections: list[tuple[Address, HandedConnection]]


class Sockets:
    """Keeps sockets open from one graph to the next; a connection that comes between them waits in the kernel.

    Safe to call from several threads.

    Args:
        opener: makes sockets.
        left: what is there already, of the program before.
    """

    def __init__(self, opener: Opener | None = None, left: Mapping[Address, Leftover] | None = None) -> None:
        self._opener = opener or Here()
        self._open: dict[Address, list[socket.socket]] = {}
        self._left: dict[Address, Leftover] = {**(left or {})}
        self._lock = Lock()

    def at(self, address: Address, wanted: Collection[Address]) -> list[socket.socket]:
        """Return the sockets of an address, opened where they are not yet; they stay this object's.

        Args:
            address: where to listen.
            wanted: all addresses of the graph. Where one of an earlier graph is in the way, as 0.0.0.0 is of
                127.0.0.1, it is closed first; nobody accepts there any more.

        Raises:
            ListenError: it cannot be listened at; nothing has changed.
        """
        with self._lock:
            if address not in self._open:
                try:
                    self._open[address] = open_all(address, self._opener)
                except ListenError:
                    others = self._in_the_way(address, wanted)
                    if not others:
                        raise
                    self._open[address] = self._opened_in_place_of(others, address)
            return self._open[address]

    def ahead(self, address: Address, wanted: Collection[Address]) -> None:
        """Open an address while an earlier graph runs; one that only that graph is in the way of is opened later.

        Raises:
            ListenError: it cannot be listened at.
        """
        with self._lock:
            if address not in self._open:
                try:
                    self._open[address] = open_all(address, self._opener)
                except ListenError:
                    if not self._in_the_way(address, wanted):
                        raise

    def _in_the_way(self, address: Address, wanted: Collection[Address]) -> list[Address]:
        place = (address.kind, address.port, address.path)
        if not (address.port or address.path):
            return []
        return [each for each in self._open if each not in wanted and (each.kind, each.port, each.path) == place]

    def _opened_in_place_of(self, others: list[Address], address: Address) -> list[socket.socket]:
        self._close(others)
        try:
            return open_all(address, self._opener)
        except ListenError:
            for each in others:
                self._open[each] = open_all(each, self._opener)
            raise

    async def settle(self, wanted: Collection[Address]) -> None:
        """Close what is not wanted any more, and what was left for a stage that has not come.

        To be called when all stages that want something have started.
        """
        await self._close_leftovers()
        await asyncio.to_thread(self._forget, wanted)

    async def close(self) -> None:
        """Close all. A supervisor that shares its own keeps them for the next process."""
        await self._close_leftovers()
        for each in itertools.chain(*self._open.values()):
            each.close()
        self._open.clear()

    async def leave_open(self) -> LeftOpen:
        """Return all sockets, for the program that takes the place of this one, and connections it can go on with."""
        connections = [(address, each) for address, left in self._left.items() for each in left.hand_over()]
        await self._close_leftovers()
        return LeftOpen([*self._opener.given, *itertools.chain(*self._open.values())], connections)

    async def _close_leftovers(self) -> None:
        left, self._left = list(self._left.values()), {}
        await asyncio.gather(*(each.close() for each in left))

    def _forget(self, wanted: Collection[Address]) -> None:
        with self._lock:
            self._close([address for address in self._open if address not in wanted])

    def _close(self, addresses: Iterable[Address]) -> None:
        for address in addresses:
            for each in self._open.pop(address):
                each.close()
        self._opener.keep(list(self._open))

    def leave(self, address: Address, leftover: Leftover) -> None:
        """Keep something for the stage that listens at an address next."""
        self._left[address] = leftover

    def found(self, address: Address) -> Leftover | None:
        """Return what was left at an address, once."""
        return self._left.pop(address, None)
