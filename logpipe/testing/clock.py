"""Waiting, and a clock that stands still until it is told to move.

With `pipeline(…, clock=ManualClock())` the engine's waits stand still, too: retries, flushes, late commits, and what a
plugin does by `host.clock`, in tasks of `host.start_task` as elsewhere. What asyncio and the kernel time by themselves
(`asyncio.sleep`, a socket) goes on.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final

from logpipe.event import Time

DEADLINE: Final = 120.0
"""Seconds after which a test that waits has failed: many, for a machine that runs other tests beside it is slow."""

MOST_PATIENCE: Final = 1.0
"""Seconds that `advance` waits for threads before time goes on: some wait for a disk that a test holds up."""

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
        self.threads = Threads(1)
        """Those of the pipeline that runs by this clock."""

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
        await self._after(seconds)

    @asynccontextmanager
    async def timeout(self, seconds: float | None) -> AsyncIterator[asyncio.Timeout]:
        """End the block with a TimeoutError when the clock was advanced so far."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None if seconds is None or seconds > 0 else 0) as limit:
            end = self._after(math.inf if seconds is None else seconds)
            end.add_done_callback(lambda end: None if end.cancelled() else limit.reschedule(loop.time()))
            try:
                yield limit
            finally:
                end.cancel()

    def _after(self, seconds: float) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(_numbers), future))
        return future

    @property
    def sleepers(self) -> int:
        """How many wait for the clock."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Move the clock on, waking who waits in the right order, and let everybody run, threads too.

        What somebody begins to wait for meanwhile counts from the moment at which he does, so that several retries are
        made in one step at their own times.
        """
        end = self._elapsed + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            self._elapsed, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
                await self._settle()
        self._elapsed = end
        await self._settle()

    async def _settle(self) -> None:
        await settle()
        patience = time.monotonic() + MOST_PATIENCE
        while self.threads.working and time.monotonic() < patience:
            await asyncio.sleep(0.001)
            await settle()


class Threads(ThreadPoolExecutor):
    """A pool that can be seen working."""

    def __init__(self, most: int) -> None:
        super().__init__(most, thread_name_prefix="logpipe")
        self.working: set[Future[Any]] = set()
        """Calls that have not returned."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call in a thread."""
        future = super().submit(fn, *args, **kwargs)
        self.working.add(future)
        future.add_done_callback(self.working.discard)
        return future


async def settle(turns: int = 20) -> None:
    """Let every task that can run do so."""
    for _ in range(turns):
        await asyncio.sleep(0)
