"""Who reads next: trails with something to read take turns, a bounded slice each.

There is a task for each trail whose events wait for an output, and one or a few more that read; ten thousand idle
files have none. A hot file goes to the end of the queue after each slice, and a trail whose output is stuck holds up
only itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

from logpipe import Clock, Host
from logpipe.builtin.in_tail.options import TailOptions
from logpipe.builtin.in_tail.table import State, Trail
from logpipe.ruby import group_names

FEWEST_BYTES: Final = 8192


@dataclass(slots=True)
class _Window:
    """What was read since a time, and how much may be."""

    length: float
    since: float
    limit: Callable[[], float]
    count: int = 0

    @property
    def left(self) -> float:
        """How much more may be read now; less than 0 where too much was."""
        return self.limit() - self.count

    def pause(self, now: float) -> float:
        """Return how long to wait before more may be read, 0.0 where some may be read now."""
        if now - self.since >= self.length:
            self.since, self.count = now, 0
        return self.since + self.length - now if self.left <= 0 else 0.0


class _Use(NamedTuple):
    """What was read of one file lately."""

    bytes: _Window
    lines: _Window


class Throttle:
    """Limits per file and, where `<group>` says so, per group of files."""

    def __init__(self, options: TailOptions, host: Host) -> None:
        self._clock = host.clock
        limit = int(options.read_bytes_limit_per_second)
        self._bytes = max(limit, FEWEST_BYTES) if limit > 0 else math.inf
        self._group = options.group
        rules = [] if options.group is None else options.group.rule
        self._members = [(rule, WeakSet[Trail]()) for rule in sorted(rules, key=lambda rule: -len(rule.match))]
        """The files that share a rule's limit; those rules first that name more groups of the pattern."""
        self._uses: WeakKeyDictionary[Trail, _Use] = WeakKeyDictionary()
        self._throttled = host.counter("throttled_log_count", "Times that reading a file had to wait for its limit.")
        self.active = limit > 0 or bool(rules)
        """Whether there is any limit."""

    def join(self, trail: Trail) -> None:
        """Count a file among those of its group, before any of them is read."""
        if self.active:
            self._use(trail)

    def pause(self, trail: Trail) -> float:
        """Return how long a file has to wait before more may be read of it, 0.0 where some may be read now."""
        if not self.active:
            return 0.0
        now, use = self._clock.monotonic(), self._use(trail)
        pause = max(use.bytes.pause(now), use.lines.pause(now))
        if pause:
            self._throttled.add(1)
        return pause

    def left(self, trail: Trail, *, size: int, lines: int) -> tuple[int, int]:
        """Return how many bytes and lines may be read of a file now, at most `size` and `lines`."""
        if not self.active:
            return size, lines
        use = self._use(trail)
        return max(1, int(min(size, use.bytes.left))), max(0, int(min(lines, use.lines.left)))

    def spend(self, trail: Trail, *, size: int = 0, lines: int = 0) -> None:
        """Count bytes that were read of a file, and lines whose events were accepted."""
        if self.active:
            use = self._use(trail)
            use.bytes.count += size
            use.lines.count += lines

    def _use(self, trail: Trail) -> _Use:
        use = self._uses.get(trail)
        if use is None:
            now = self._clock.monotonic()
            period = float(self._group.rate_period) if self._group is not None else 1.0
            lines = _Window(period, now, self._share_of(trail))
            use = self._uses[trail] = _Use(_Window(1.0, now, lambda: self._bytes), lines)
        return use

    def _share_of(self, trail: Trail) -> Callable[[], float]:
        """Return what tells a file's part of the lines that its rule lets through; no end of them where none does."""
        found = self._group.pattern.search(trail.name) if self._group is not None else None
        if found is not None:
            names = {shown: found[name] or "" for name, shown in group_names(found.re).items()}
            for rule, members in self._members:
                if all(regexp.search(names.get(name, "")) for name, regexp in rule.match.items()):
                    members.add(trail)
                    return partial(_share, rule.limit, members) if rule.limit >= 0 else lambda: math.inf
        return lambda: math.inf


def _share(limit: int, members: WeakSet[Trail]) -> float:
    return limit // max(1, len(members))


MOST_WORKERS: Final = 256
"""Trails that can wait for their outputs at the same time."""

AFTER_ERROR: Final = 10.0

LAST_SECONDS: Final = 1.0

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
                self._start_worker()
                await asyncio.get_running_loop().create_future()
        finally:
            self._group = None
            self._workers = 0
            self._queue.clear()

    def quiesce(self) -> None:
        """Serve nobody from now on; what is being served is served to the end of its slice."""
        self._is_quiet = True

    async def serve_last(self, trails: Iterable[Trail]) -> None:
        """Serve some once more though it is quiet, as far as that takes no longer than a second."""
        waiting, until = iter(trails), asyncio.get_running_loop().time() + LAST_SECONDS
        late: set[asyncio.Task[None]] = set()
        while self._group is not None and not late and (some := list(islice(waiting, MOST_WORKERS))):
            tasks = [self._group.create_task(self._serve_last(trail), name="tail.last") for trail in some]
            _, late = await asyncio.wait(tasks, timeout=until - asyncio.get_running_loop().time())

    async def _serve_last(self, trail: Trail) -> None:
        with contextlib.suppress(Exception):  # it is read again by the next run
            if trail.state is not State.BUSY:
                await self._serve(trail)

    def wake(self, trail: Trail) -> None:
        """Serve a trail as soon as it is its turn; one that pauses stays paused."""
        if trail.state is State.IDLE:
            self.restart(trail)
        elif trail.state is State.BUSY:
            trail.woken = True

    def restart(self, trail: Trail) -> None:
        """Serve a trail whatever state an earlier run left it in."""
        self._enqueue(trail)
        self._start_worker()

    def _enqueue(self, trail: Trail) -> None:
        trail.state = State.QUEUED
        trail.woken = False
        self._queue.append(trail)

    def _start_worker(self) -> None:
        """Start one more worker where somebody waits."""
        if self._queue and self._workers < MOST_WORKERS and self._group is not None and not self._is_quiet:
            self._workers += 1
            self._group.create_task(self._work(), name="tail.worker")

    async def _work(self) -> None:
        """Serve whoever is first in the queue until nobody is."""
        while self._queue and not self._is_quiet:
            trail = self._queue.popleft()
            self._start_worker()  # the one served now may have to wait for its output
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
