"""Connections that wait to be used again."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final

from logpipe.net.dialing import ClientStream

MOST_IDLE: Final = 16


class Pool:
    """Keeps connections between two uses, by whatever they must have in common.

    One that has ended meanwhile, or that its peer has said something on without being asked, is closed instead of being
    used again: what it says would be taken for the answer to something else.

    Args:
        monotonic: `host.clock.monotonic`.
        idle_seconds: how long one may wait; None for as long as its peer keeps it open.
        most: how many may wait that have the same in common.
    """

    def __init__(
        self, monotonic: Callable[[], float], *, idle_seconds: float | None = None, most: int = MOST_IDLE
    ) -> None:
        self._monotonic = monotonic
        self._idle_seconds = idle_seconds
        self._most = most
        self._waiting: dict[Hashable, list[tuple[float, ClientStream]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def take(self, key: Hashable) -> ClientStream | None:
        """Return the connection that was used last and can be used again; None where there is none."""
        waiting = self._waiting.get(key, [])
        while waiting:
            since, stream = waiting.pop()
            if self._can_be_used(since, stream):
                return stream
            stream.close()
        self._waiting.pop(key, None)
        return None

    def give(self, key: Hashable, stream: ClientStream) -> None:
        """Keep a connection of which every answer was read; any other is closed."""
        waiting = self._waiting.setdefault(key, [])
        if not stream.is_quiet or len(waiting) >= self._most:
            stream.close()
        else:
            waiting.append((self._monotonic(), stream))

    def purge(self) -> None:
        """Close what has waited for too long, or has ended; to be called now and then."""
        for key, waiting in list(self._waiting.items()):
            kept = [each for each in waiting if self._can_be_used(*each)]
            for each in waiting:
                if each not in kept:
                    each[1].close()
            if kept:
                self._waiting[key] = kept
            else:
                del self._waiting[key]

    def close(self, key: Hashable | None = None) -> None:
        """Close all that wait, or those of one key."""
        for each in list(self._waiting) if key is None else [key]:
            for _, stream in self._waiting.pop(each, []):
                stream.close()

    def _can_be_used(self, since: float, stream: ClientStream) -> bool:
        is_late = self._idle_seconds is not None and self._monotonic() - since >= self._idle_seconds
        return stream.is_quiet and not is_late
