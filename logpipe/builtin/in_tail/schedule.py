"""Who reads next: trails with something to read take turns, a bounded slice each.

There is a task for each trail whose events wait for an output, and one or a few more that read; ten thousand idle
files have none. A hot file goes to the end of the queue after each slice, and a trail whose output is stuck holds up
only itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from logpipe import Clock
from logpipe.builtin.in_tail.trail import State, Trail

MOST_WORKERS: Final = 256
"""Trails that can wait for their outputs at the same time."""

AFTER_ERROR: Final = 10.0

Serve = Callable[[Trail], Awaitable[float | None]]
"""Reads one slice; returns 0.0 where there is more to read, seconds to pause, or None at the end of the file."""


class Schedule:
    """Serves trails in the order in which they were woken; `run` until cancelled."""

    def __init__(self, serve: Serve, *, clock: Clock, log: logging.Logger | logging.LoggerAdapter[Any]) -> None:
        self._serve = serve
        self._clock = clock
        self._log = log
        self._queue: deque[Trail] = deque()
        self._workers = 0
        self._group: asyncio.TaskGroup | None = None
        self._is_quiet = False

    async def run(self) -> None:
        """Serve until cancelled; what was busy when it was cancelled is served again by the next run."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._hire()
                await asyncio.get_running_loop().create_future()
        finally:
            self._group = None
            self._workers = 0
            self._queue.clear()

    def quiesce(self) -> None:
        """Serve nobody from now on; what is being served is served to the end of its slice."""
        self._is_quiet = True

    def wake(self, trail: Trail) -> None:
        """Serve a trail as soon as it is its turn; one that pauses stays paused."""
        if trail.state is State.IDLE:
            self.restart(trail)
        elif trail.state is State.BUSY:
            trail.woken = True

    def restart(self, trail: Trail) -> None:
        """Serve a trail whatever state an earlier run left it in."""
        self._enqueue(trail)
        self._hire()

    def _enqueue(self, trail: Trail) -> None:
        trail.state = State.QUEUED
        trail.woken = False
        self._queue.append(trail)

    def _hire(self) -> None:
        """Start one more worker where somebody waits."""
        if self._queue and self._workers < MOST_WORKERS and self._group is not None and not self._is_quiet:
            self._workers += 1
            self._group.create_task(self._work(), name="tail.worker")

    async def _work(self) -> None:
        """Serve whoever is first in the queue until nobody is."""
        while self._queue and not self._is_quiet:
            trail = self._queue.popleft()
            self._hire()  # the one served now may have to wait for its output
            trail.state = State.BUSY
            try:
                pause = await self._serve(trail)
            except Exception:  # noqa: BLE001 - one file's trouble must not stop the others
                self._log.exception("unexpected error while reading %s; trying again in 10 seconds", trail.name)
                pause = AFTER_ERROR
            self._put_back(trail, pause)
        self._workers -= 1

    def _put_back(self, trail: Trail, pause: float | None) -> None:
        if pause:
            trail.state = State.PAUSED
            assert self._group is not None  # noqa: S101 - this runs in one of its tasks
            self._group.create_task(self._wake_later(trail, pause), name="tail.pause")
        elif pause is not None or trail.woken:
            self._enqueue(trail)
        else:
            trail.state = State.IDLE

    async def _wake_later(self, trail: Trail, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self.restart(trail)
