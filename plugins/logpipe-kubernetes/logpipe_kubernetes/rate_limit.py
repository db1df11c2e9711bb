"""Limits requests to the API server: a rate, and pauses after failures."""

from __future__ import annotations

import random
from typing import Final

from logpipe import Clock

LONGEST_PAUSE: Final = 600.0
"""Seconds; the upper limit of Retry-After, too."""


class TokenBucket:
    """Gives permits at a steady rate, with a reserve for bursts."""

    def __init__(self, clock: Clock, *, rate: float, burst: float) -> None:
        self._clock = clock
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._filled = clock.monotonic()

    @property
    def level(self) -> float:
        """The number of available permits; negative while some were taken in advance."""
        now = self._clock.monotonic()
        self._level = min(self._burst, self._level + (now - self._filled) * self._rate)
        self._filled = now
        return self._level

    def take(self, amount: float = 1.0) -> None:
        """Take permits, also in advance."""
        self._level = self.level - amount

    async def wait(self) -> None:
        """Take a permit and wait until it is available; waiters are served in order."""
        self.take()
        if self._level < 0:
            await self._clock.sleep(-self._level / self._rate)


class Backoff:
    """Pauses that grow from `first` by `factor` up to `longest` seconds, with jitter so that nodes spread out."""

    def __init__(self, *, first: float = 1.0, factor: float = 2.0, longest: float = 60.0) -> None:
        self._first = min(max(first, 0.1), longest)
        self._factor = max(factor, 1.0)
        self._longest = longest
        self._next = self._first

    def reset(self) -> None:
        """Begin with the first pause again."""
        self._next = self._first

    def pause(self, at_least: float = 0.0) -> float:
        """Return the seconds to wait now; `at_least` is the server's Retry-After."""
        pause = self._next * random.uniform(0.5, 1.0)
        self._next = min(self._next * self._factor, self._longest)
        return min(max(pause, at_least * random.uniform(1.0, 1.1)), LONGEST_PAUSE)


class CircuitBreaker:
    """Allows calls while they succeed; after a failure one at a time, each after a longer pause."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._backoff = Backoff()
        self._closed_until = 0.0
        self._trying = False
        self.healthy = True
        """Whether the last call succeeded, or none was made."""

    def enter(self) -> bool:
        """Return whether a call may be made now; its result must then be reported to `succeeded` or `failed`."""
        if self.healthy:
            return True
        if self._trying or self._clock.monotonic() < self._closed_until:
            return False
        self._trying = True
        return True

    def succeeded(self) -> bool:
        """Allow calls again; returns whether they were limited."""
        recovered = not self.healthy
        self.healthy = True
        self._trying = False
        self._backoff.reset()
        return recovered

    def failed(self, at_least: float) -> float:
        """Limit calls; returns the seconds until the next try. Concurrent failures count once."""
        now = self._clock.monotonic()
        if self.healthy or self._trying:
            self._closed_until = now + self._backoff.pause(at_least)
        self.healthy = False
        self._trying = False
        return max(self._closed_until - now, 0.0)
