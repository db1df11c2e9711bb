"""Waiting, and a clock that stands still until it is told to move."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Final

from logpipe.event import Time

DEADLINE: Final = 120.0
"""Seconds after which a test that waits has failed: many, for a machine that runs other tests beside it is slow."""

_numbers: Iterator[int] = itertools.count()


async def wait_for(condition: Callable[[], object], what: str = "", *, seconds: float = DEADLINE) -> None:
    """Return when `condition()` is true.

    Raises:
        AssertionError: it still is not after `seconds`.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:.0f} seconds for {what or condition}"
        await asyncio.sleep(0.002)


class ManualClock:
    """A clock that stands still until `advance`."""

    def __init__(self, start: Time = 1_466_000_000_000_000_000) -> None:
        self._start = start
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> Time:
        """Return the start plus what was advanced."""
        return self._start + round(self._elapsed * 1_000_000_000)

    def monotonic(self) -> float:
        """Return what was advanced, in seconds."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced so far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(_numbers), future))
        await future

    @property
    def sleepers(self) -> int:
        """How many wait for the clock."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Move the clock on, waking who waits in the right order, and let everybody run."""
        end = self._elapsed + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            self._elapsed, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
            await settle()
        self._elapsed = end
        await settle()


async def settle(turns: int = 20) -> None:
    """Let every task that can run do so."""
    for _ in range(turns):
        await asyncio.sleep(0)
