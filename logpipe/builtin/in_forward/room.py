"""How much of large frames all connections of an input may hold together."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

FREE: Final = 1 << 20
"""Bytes that every connection may hold; they are not counted."""


class Room:
    """Bytes for large frames. Connections that need more than there are wait in turn, and are not read meanwhile.

    One that has some and needs more could wait for another that waits for it: one at a time gets what it needs at once,
    even where there is less.
    """

    def __init__(self, size: int) -> None:
        self._free = size
        self._waiting: deque[tuple[Share, int, asyncio.Future[None]]] = deque()
        self._overdrawn: Share | None = None

    def share(self) -> Share:
        """Return the share of one connection."""
        return Share(self)

    async def take(self, share: Share, size: int) -> None:
        """Take so many more bytes, when there are."""
        if not self._waiting and size <= self._free:
            self._free -= size
            return
        granted = asyncio.get_running_loop().create_future()
        waiting = (share, size, granted)
        self._waiting.append(waiting)
        self._grant()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.give(share, size)
            with suppress(ValueError):
                self._waiting.remove(waiting)
            raise

    def give(self, share: Share, size: int) -> None:
        """Give bytes back."""
        self._free += size
        if self._overdrawn is share:
            self._overdrawn = None
        self._grant()

    def _grant(self) -> None:
        while self._waiting and self._waiting[0][1] <= self._free:
            self._free -= self._waiting[0][1]
            self._waiting.popleft()[2].set_result(None)
        if self._overdrawn is None:
            for waiting in self._waiting:
                share, size, granted = waiting
                if share.has_some:
                    self._overdrawn = share
                    self._free -= size
                    self._waiting.remove(waiting)
                    granted.set_result(None)
                    return


class Share:
    """What one connection has of a room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._taken = 0

    @property
    def has_some(self) -> bool:
        """Whether it has any."""
        return self._taken > 0

    async def cover(self, size: int) -> None:
        """Return when the connection may hold so many bytes."""
        more = size - FREE - self._taken
        if more > 0:
            await self._room.take(self, more)
            self._taken += more

    def leave(self) -> None:
        """Give all back."""
        taken, self._taken = self._taken, 0
        if taken:
            self._room.give(self, taken)
