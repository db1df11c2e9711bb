"""Ports that nobody listens on, and servers that are started on them."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

ATTEMPTS = 3

_CHANCE = random.SystemRandom()
"""Another for each of the processes that run tests at once: pytest-randomly gives each test the same numbers."""


def free_port() -> int:
    """Return a loopback port that was free a moment ago; another program may take it before its user does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def adjacent_ports(count: int) -> int:
    """Return the first of `count` ports in a row, all free on the loopback a moment ago.

    The kernel gives none of them to who wants any port, as it gives the neighbours of `free_port`.
    """
    while True:
        first = _CHANCE.randrange(20_000, 30_000)
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
            for port in range(first, first + count):
                probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


def on_free_port(start: Callable[[int], T], *, refused: type[Exception]) -> T:
    """Start a server on a free port and return what `start` returns; when the port was taken first, try another.

    Args:
        start: gets the port.
        refused: what `start` raises when it could not have the port.
    """
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(refused):
            return start(free_port())
    return start(free_port())
