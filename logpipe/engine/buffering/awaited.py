"""Chunks with events that somebody waits for: they are due before their time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from logpipe.event import Receipt
from logpipe.plugin import ChunkKey, Clock

SOON: Final = 0.5
"""Seconds that such a chunk still takes events; the timer that asks comes once a second at least."""


class Awaited:
    """Tells of staged chunks whether their time has come.

    Args:
        is_due: what tells it by their settings.
        clock: the host's.
        is_settled: whether receipts settle when events are staged, so that nobody waits for a chunk.
    """

    def __init__(self, is_due: Callable[[ChunkKey, float], bool], clock: Clock, *, is_settled: bool) -> None:
        self._is_due = is_due
        self._clock = clock
        self._is_settled = is_settled
        self._keys: set[ChunkKey] = set()

    def staged(self, key: ChunkKey, receipt: Receipt | None) -> None:
        """Note that events are in the chunk of a key."""
        if receipt is not None and receipt.is_awaited and not self._is_settled:
            self._keys.add(key)

    def queued(self, key: ChunkKey) -> None:
        """Note that the chunk of a key is not staged any more."""
        self._keys.discard(key)

    def is_due(self, key: ChunkKey, created: float) -> bool:
        """Return whether a chunk's time has come; `created` is when it was begun."""
        if key in self._keys and self._clock.monotonic() >= created + SOON:
            return True
        return self._is_due(key, created)
