"""Where the brokers are: a fixed list, or what ZooKeeper says (zookeeper.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol


class Brokers(Protocol):
    """A list of addresses to ask first, HOST:PORT each; it may be unknown for a while, and change."""

    changed: asyncio.Event
    """Set when the list has changed; whoever waited for it clears it."""

    async def start(self) -> None:
        """Begin to find out."""
        ...

    async def addresses(self) -> Sequence[str]:
        """Return the list, as soon as there is one."""
        ...

    def refresh(self) -> None:
        """Find out again, because the addresses did not help; returns at once."""
        ...

    async def stop(self) -> None:
        """Let go of everything; safe without `start`, and twice."""
        ...


class FixedBrokers:
    """The addresses that the configuration names."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.changed = asyncio.Event()
        self._addresses = list(addresses)

    async def start(self) -> None:
        """Do nothing."""

    async def addresses(self) -> Sequence[str]:
        """Return the configured list."""
        return self._addresses

    def refresh(self) -> None:
        """Do nothing: the list stays."""

    async def stop(self) -> None:
        """Do nothing."""
