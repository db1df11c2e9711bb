"""Time that jumps to the next timer, and an event loop that lives in it.

One thread does everything: what the engine hands to threads runs on the loop, after a delay that is the schedule's. A
crash leaves the loop in the middle of whatever it was doing, at any of its turns or at any step on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from tests.simulation.network import Network, abandon

START: Final = 1_900_000_000_000_000_000
"""Nanoseconds since the epoch at the beginning of every schedule: 2030-03-17T17:46:40Z."""

MOST_TURNS: Final = 20_000
"""Turns of the loop at one moment of its time: more of them, and it does not come to rest."""


class Crash(KeyboardInterrupt):
    """The program has ended where it stands. As a KeyboardInterrupt it passes through tasks and callbacks at once."""


class Timeline:
    """The time of one schedule, and who says how long threads take; it goes on when a program ends.

    It is also what the engine's hosts have as their clock.
    """

    def __init__(self) -> None:
        self.elapsed = 1000.0
        """Seconds since the machine was started."""
        self.offset = START - 1_000_000_000_000
        """Nanoseconds between that and the wall clock."""
        self.turns = 0
        """Turns of the loop so far."""
        self.crash_at = -1
        """The turn at which the program ends."""
        self.is_stuck = False
        """Whether the loop went round and round without any time passing."""
        self._since = (0.0, 0)
        self.thread_delay: Callable[[], tuple[float, float]] = lambda: (0.0, 0.0)
        """Seconds that the next call in a thread takes: before it has its effect, and after."""

    def turn(self) -> None:
        """Count a turn of the loop.

        Raises:
            Crash: the program ends at this one, or stands still.
        """
        self.turns += 1
        if self.turns == self.crash_at:
            raise Crash
        moment, first = self._since
        if self.elapsed != moment:
            self._since = (self.elapsed, self.turns)
        elif self.turns - first > MOST_TURNS:
            self.is_stuck = True
            raise Crash

    def now(self) -> int:
        """Return the wall clock's time in nanoseconds."""
        return self.offset + round(self.elapsed * 1_000_000_000)

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float | None) -> asyncio.Timeout:
        """Return what ends a block after so long."""
        return asyncio.timeout(seconds)

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Let all who ask for the time have this one."""
        before = {name: getattr(time, name) for name in ("time", "time_ns", "monotonic", "monotonic_ns")}
        time.time = lambda: self.now() / 1_000_000_000
        time.time_ns = self.now
        time.monotonic = self.monotonic
        time.monotonic_ns = lambda: round(self.elapsed * 1_000_000_000)
        try:
            yield
        finally:
            for name, function in before.items():
                setattr(time, name, function)


class _Selector(selectors.EpollSelector):
    """Waits for nothing but for what is there: inotify's reports come at once, and else it is the next timer's turn."""

    def __init__(self, timeline: Timeline) -> None:
        super().__init__()
        self._timeline = timeline

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        timeline = self._timeline
        timeline.turn()
        ready = super().select(0)
        if not ready and timeout:
            timeline.elapsed += timeout
        return ready


class Loop(asyncio.SelectorEventLoop):
    """A loop in simulated time, one for each start of the program."""

    def __init__(self, timeline: Timeline, network: Network) -> None:
        super().__init__(_Selector(timeline))
        self._timeline = timeline
        self._network = network
        self.problems: list[str] = []
        """What nobody has handled."""
        self.set_exception_handler(self._note)

    def time(self) -> float:
        return self._timeline.elapsed

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **more: Any) -> Any:
        """Connect to a peer of the schedule."""
        del host
        return await super().create_connection(protocol_factory, sock=self._network.connect(port), **more)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """Call a function that blocks on the loop, later.

        One that nobody waits for any more has its effect at once: it holds the locks that it needs.
        """
        del executor
        before, after = self._timeline.thread_delay()
        call = _Call(self, func, args, after)
        if before:
            self.call_later(before, call.make)
        else:
            self.call_soon(call.make)
        return call.future

    def run_to(self, moment: float) -> None:
        """Run until it is so late."""
        timer = self.call_at(moment, self.stop)
        try:
            self.run_forever()
        finally:
            timer.cancel()

    def drop(self) -> None:
        """End all tasks as they stand; what they do on their way out is to be undone by whoever calls this."""
        self.set_exception_handler(lambda _loop, _context: None)
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            with contextlib.suppress(BaseException):
                task.get_coro().close()  # type: ignore[union-attr]
        abandon(self)
        self._ready.clear()  # type: ignore[attr-defined]
        self._scheduled.clear()  # type: ignore[attr-defined]
        self.close()

    def _note(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.problems.append(f"{context.get('message')}: {context.get('exception')!r}")


class _Call:
    """One call in a thread."""

    def __init__(self, loop: Loop, func: Callable[..., Any], args: tuple[Any, ...], after: float) -> None:
        self.future: asyncio.Future[Any] = loop.create_future()
        self.future.add_done_callback(self._cancelled)
        self._loop = loop
        self._work: Callable[[], Any] | None = lambda: func(*args)
        self._after = after

    def make(self) -> None:
        """Make it, unless it was made."""
        if self._work is None:
            return
        work, self._work = self._work, None
        try:
            result = work()
        except Crash:
            raise
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it, as from a thread
            self._tell(self.future.set_exception, error)
        else:
            self._tell(self.future.set_result, result)

    def _cancelled(self, future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            self.make()

    def _tell(self, tell: Callable[[Any], None], what: Any) -> None:
        def now() -> None:
            if not self.future.done():
                tell(what)

        if self._after:
            self._loop.call_later(self._after, now)
        else:
            now()


class NoThreads(ThreadPoolExecutor):
    """A pool without threads: the loop does its work."""

    def __init__(self) -> None:
        super().__init__(1)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Do nothing: the engine only wants a thread to be there when it needs one."""
        del fn, args, kwargs
