"""The brokers' addresses: a fixed list, or from ZooKeeper (zookeeper.py)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final, Protocol

from logpipe import Host
from logpipe_kafka.cluster_options import is_address

REMIND_SECONDS: Final = 60.0


async def wait_at_most(seconds: float, event: asyncio.Event) -> None:
    """Wait for an event, so many seconds at most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class Brokers(Protocol):
    """A list of bootstrap addresses, HOST:PORT each; it may be unknown at first, and change."""

    changed: asyncio.Event
    """Set when the list has changed; the waiter clears it."""

    async def start(self) -> None:
        """Begin to find the addresses."""

    async def addresses(self) -> Sequence[str]:
        """Return the list, once there is one."""

    def refresh(self) -> None:
        """Find the addresses again, because none could be reached; returns at once."""

    async def stop(self) -> None:
        """Close all connections; safe without `start`, and twice."""


class FixedBrokers:
    """The addresses in the configuration; invalid ones are left out."""

    def __init__(self, addresses: Sequence[str], host: Host) -> None:
        self.changed = asyncio.Event()
        self._given = list(addresses)
        self._addresses = [text for text in addresses if is_address(text)]
        self._host = host

    async def start(self) -> None:
        """Do nothing."""

    async def addresses(self) -> Sequence[str]:
        """Return the configured list; without one, wait and repeat a warning."""
        while not self._addresses:
            self._host.log.error(
                "brokers names no broker (%s), so that events wait: write host:port and start again",
                ", ".join(self._given) or "it is empty",
            )
            await asyncio.sleep(REMIND_SECONDS)
        return self._addresses

    def refresh(self) -> None:
        """Do nothing: the list is fixed."""

    async def stop(self) -> None:
        """Do nothing."""
