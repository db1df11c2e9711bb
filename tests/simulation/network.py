"""Streams between the program and its peers.

They are Unix sockets in the place of TCP and UDP: what is written to one of these is there at once, so that no schedule
depends on the kernel's pace. Peers outlive the program; their ends are served on the loop of the program that runs.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import itertools
import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from logpipe.sockets.address import Address
from logpipe.sockets.opening import BACKLOG, Place

HIGH: Final = 500
"""From here on are descriptors that are not the program's: those of its peers, and what is about to be closed."""

_numbers: Final = itertools.count()


class Network:
    """The ports of one schedule; it opens the sockets at which the program listens."""

    def __init__(self) -> None:
        self.servers: dict[int, Callable[[socket.socket], None]] = {}
        """Peers that the program connects to, by port: each is given its end of a new connection."""
        self._names: dict[int, str] = {}
        """Where the program listens for streams."""
        self._open: list[socket.socket] = []

    def open(self, address: Address, place: Place) -> socket.socket:
        """Return a socket that listens, for `Sockets`."""
        name = f"\0logpipe-simulation-{os.getpid()}-{next(_numbers)}"
        sock = _Listening(address.type, place[1])
        self._open.append(sock)
        sock.bind(name)
        if address.type == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
            self._names[address.port] = name
        return sock

    @property
    def is_open(self) -> bool:
        """Whether the program listens anywhere."""
        return bool(self._open)

    def drop(self) -> None:
        """Close what the program has listened at: it is gone."""
        for each in self._open:
            each.close()
        self._open.clear()

    def keep(self, addresses: Iterable[Address]) -> None:
        """Do nothing: who is told closes what is not in use."""

    def dial(self, port: int) -> socket.socket | None:
        """Return a peer's new connection to the program; None where it does not listen."""
        made = socket.socket(socket.AF_UNIX)
        sock = socket.socket(fileno=fcntl.fcntl(made, fcntl.F_DUPFD_CLOEXEC, HIGH))
        made.close()
        sock.setblocking(False)
        with suppress(OSError):
            sock.connect(self._names.get(port, "\0logpipe-simulation-nowhere"))
            return sock
        sock.close()
        return None

    def connect(self, port: int) -> socket.socket:
        """Return the program's end of a new connection to a peer.

        Raises:
            ConnectionRefusedError: there is no such peer.
        """
        if port not in self.servers:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        ours, theirs = socket.socketpair()
        self.servers[port](theirs)
        return ours


class _Listening(socket.socket):
    """A Unix socket that says where it would be."""

    def __init__(self, kind: int, where: object) -> None:
        super().__init__(socket.AF_UNIX, kind)
        self._where = where

    def getsockname(self) -> object:
        """Return the address that was asked for."""
        return self._where


def abandon(loop: asyncio.AbstractEventLoop) -> None:
    """Close the connections of a loop that is dropped, without a word to who has them."""
    for transport in list(loop._transports.values()):  # type: ignore[attr-defined]
        sock, transport._sock, transport._closing = transport._sock, None, True
        if sock is not None:
            sock.close()
