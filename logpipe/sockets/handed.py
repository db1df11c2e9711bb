"""Connections that go on over an exec: their descriptors, and what has come and is not read yet."""

from __future__ import annotations

import base64
import json
import os
import socket
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple, Protocol

from logpipe.sockets.address import Address

CONNECTIONS: Final = "LOGPIPE_CONNECTIONS"
"""The variable with the process id, and the descriptor of a file that says which there are."""


class HandedConnection(NamedTuple):
    """One of them."""

    sock: socket.socket
    waiting: bytes
    """What has come, and belongs to a message that is not whole."""
    terms: str
    """What it was served under; who has other terms cannot go on with it."""


class Leftover(Protocol):
    """What a stage leaves at an address for the one that listens there next."""

    def hand_over(self) -> Iterable[HandedConnection]:
        """Let go of the connections that another program can go on with, for good."""
        ...

    async def close(self) -> None:
        """End it: nobody came."""
        ...


@dataclass
class Handed:
    """The connections of one address, as the program before has left them."""

    connections: list[HandedConnection]

    def under(self, terms: str) -> list[HandedConnection]:
        """Return those that were served under equal terms; the others are closed."""
        for each in self.connections:
            if each.terms != terms:
                each.sock.close()
        return [each for each in self.connections if each.terms == terms]

    def hand_over(self) -> Iterable[HandedConnection]:
        """Return all of them."""
        found, self.connections = self.connections, []
        return found

    def drop(self) -> None:
        """End them."""
        for each in self.connections:
            each.sock.close()

    async def close(self) -> None:
        """End them: nobody came."""
        self.drop()


def duplicate(sock: Any) -> socket.socket | None:
    """Return another descriptor of what a transport calls its socket; None where it has none any more."""
    with suppress(OSError, ValueError):
        return socket.socket(fileno=os.dup(sock.fileno()))
    return None


def leave(connections: Iterable[tuple[Address, HandedConnection]]) -> dict[str, str]:
    """Keep connections open over an exec, and return what has to be added to the environment for `left`."""
    said = []
    for address, each in connections:
        os.set_inheritable(each.sock.fileno(), True)
        waiting = base64.b64encode(each.waiting).decode()
        said.append({"at": asdict(address), "fd": each.sock.detach(), "waiting": waiting, "terms": each.terms})
    with tempfile.TemporaryFile() as file:  # the environment has no room for it
        file.write(json.dumps(said).encode())
        file.flush()
        descriptor = os.dup(file.fileno())
    os.set_inheritable(descriptor, True)
    return {CONNECTIONS: f"{os.getpid()} {descriptor}"}


def left() -> dict[Address, Handed]:
    """Return what the program before has left in this process, once."""
    pid, _, descriptor = os.environ.pop(CONNECTIONS, "").partition(" ")
    if pid != str(os.getpid()):
        return {}
    with os.fdopen(int(descriptor), "rb") as file:
        file.seek(0)
        said = json.loads(file.read())
    found: dict[Address, Handed] = {}
    for address, each in _read(said):
        found.setdefault(address, Handed([])).connections.append(each)
    return found


def _read(said: list[dict[str, Any]]) -> Iterator[tuple[Address, HandedConnection]]:
    for each in said:
        sock = socket.socket(fileno=each["fd"])
        sock.set_inheritable(False)
        sock.setblocking(False)
        yield Address(**each["at"]), HandedConnection(sock, base64.b64decode(each["waiting"]), each["terms"])
