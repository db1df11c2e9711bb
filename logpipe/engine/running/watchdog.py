"""A thread beside the event loop: it says what blocks the loop while it does, and ends the process at its deadline.

A stage that never returns leaves the loop no turn: not for signals, nor for timers. So the deadline is kept by this
thread, and behind it by a timer of the kernel, which ends the process even while a call into C code holds the
interpreter's lock. Nothing is allocated once it has started: a process that is out of memory must still find its end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from logpipe.engine.hosts.host import PluginHost

TICK_SECONDS: Final = 1.0
FIRST_WARNING: Final = 5.0
"""Seconds that the loop is blocked before it is said; then after twice as long each time."""
LONGEST_PAUSE: Final = 600.0
RESERVE_SECONDS: Final = 1.0
"""How much later than this thread the kernel ends the process."""
STACK_BYTES: Final = 512 << 10
IDLE_IN: Final = frozenset({"asyncio.base_events", "asyncio.runners", "selectors"})
"""Where the main thread is while the loop waits: in uvloop no Python code runs above its caller."""


class Watchdog:
    """Watches the loop of the thread that makes it.

    Args:
        loop: the event loop.
        log: where to say what happens.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, log: logging.Logger) -> None:
        self.each_second: Callable[[], object] = int
        """Called by the thread, for what else must go on."""
        self._loop = loop
        self._log = log
        self._main = threading.get_ident()
        self._stopped = threading.Event()
        self._deadline = float("inf")
        self._patience = 0.0
        self._asked_at = 0.0
        self._is_asked = False
        self._say_at = FIRST_WARNING
        self._said = False

    def start(self) -> None:
        """Start the thread; where there is none to be had, the kernel's timer has to do."""
        before = threading.stack_size(STACK_BYTES)
        try:
            threading.Thread(target=self._run, name="watchdog", daemon=True).start()
        except (RuntimeError, MemoryError) as problem:
            self._log.warning("no thread watches the event loop: %s", problem)
        finally:
            threading.stack_size(before)

    def stop(self) -> None:
        """Stop watching, whether there is a deadline or not."""
        self._stopped.set()
        self.forgive()

    def end_within(self, seconds: float) -> None:
        """End the process in so many seconds, unless it has ended or a deadline is sooner; a signal handler may."""
        deadline = time.monotonic() + seconds
        if deadline < self._deadline:
            self._deadline, self._patience = deadline, seconds
            signal.setitimer(signal.ITIMER_REAL, seconds + RESERVE_SECONDS)  # SIGALRM is left to end the process

    def forgive(self) -> None:
        """Take the deadline back."""
        self._deadline = float("inf")
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _run(self) -> None:
        last = time.monotonic()
        while not self._stopped.wait(min(TICK_SECONDS, max(0.0, self._deadline - last))):
            now = time.monotonic()
            late, last = now - last - TICK_SECONDS, now
            try:
                if now >= self._deadline:
                    self._end()
                self.each_second()
                self._look(now, late)
            except MemoryError:
                continue

    def _end(self) -> None:
        try:
            blocked = f"; {self._place()}" if self._is_asked else ""
            message = "not stopped within %.0f seconds: what was not delivered stays in its source or on disk%s"
            self._log.critical(message, self._patience, blocked)
        finally:
            os._exit(1)

    def _look(self, now: float, late: float) -> None:
        """Ask the loop for a sign of life where it does not just wait, and say for how long there has been none."""
        if late >= FIRST_WARNING:
            # not even this thread ran: the loop is not to blame, unless it holds the lock, which nobody can tell
            self._asked_at = now
            self._log.warning(
                "nothing of this process ran for %.0f seconds: it was suspended, or a call held the interpreter's "
                "lock; %s",
                late,
                self._place(),
            )
        elif self._is_asked:
            blocked = now - self._asked_at
            if blocked >= self._say_at:
                self._say_at += min(blocked, LONGEST_PAUSE)
                self._said = True
                self._log.warning("the event loop has been blocked for %.0f s %s", blocked, self._place())
        elif not self._is_idle():
            self._asked_at, self._is_asked = now, True
            try:
                self._loop.call_soon_threadsafe(self._answer)
            except RuntimeError:  # the loop is closed: the process is ending
                self._is_asked = False

    def _answer(self) -> None:
        """Show that the loop turns; it runs there."""
        blocked, said = time.monotonic() - self._asked_at, self._said
        self._is_asked = self._said = False
        self._say_at = FIRST_WARNING
        if said:
            self._log.warning("the event loop runs again, after %.0f s", blocked)

    def _frame(self) -> FrameType | None:
        return sys._current_frames().get(self._main)  # noqa: SLF001 - the only way to see another thread's frame

    def _is_idle(self) -> bool:
        frame = self._frame()
        return frame is None or frame.f_globals.get("__name__") in IDLE_IN

    def _place(self) -> str:
        """Return `in STAGE (file:line)` of what the main thread does, without the stage where it is none's."""
        top = frame = self._frame()
        if top is None:
            return ""
        place = f"{top.f_code.co_filename}:{top.f_lineno}"
        while frame is not None:
            stage = _stage_of(frame)
            if stage is not None:
                return f"in {stage} ({place})"
            frame = frame.f_back
        return f"at {place}"


def _stage_of(frame: FrameType) -> str | None:
    """Return how a person finds the stage that a frame belongs to, None where it is none's."""
    for name in ("self", "step"):
        owner: Any = frame.f_locals.get(name)
        for host in (owner, *(_attribute(owner, each) for each in ("host", "_host"))):
            if isinstance(host, PluginHost):
                return host.described
    return None


def _attribute(owner: object, name: str) -> object:
    try:
        return object.__getattribute__(owner, name)  # no `__getattr__` of a stage may run here
    except Exception:  # noqa: BLE001 - whatever a stage has under that name, it is only looked at
        return None
