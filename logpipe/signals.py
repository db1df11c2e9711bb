"""Signals from the first moment on: none that comes early is lost, and none ends the process in the middle of things.

A signal that nobody handles yet would end the process, even one that only asks for a flush. So what means something
only to a running graph is held back by the kernel until there is one, and TERM and INT end what has begun nothing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

STOPS: Final = (signal.SIGTERM, signal.SIGINT)
RELOADS: Final = (signal.SIGHUP, signal.SIGUSR2)
LATER: Final = frozenset({*RELOADS, signal.SIGUSR1, signal.SIGCONT, signal.SIGQUIT})
"""What waits for a running graph."""
ALL: Final = LATER | frozenset({*STOPS, signal.SIGCHLD})
_PR_SET_PDEATHSIG: Final = 1


def hold(*, under_supervisor: bool) -> None:
    """Prepare for signals, as the first thing that a process does; `release` once handlers stand.

    Ctrl-C in a terminal reaches every process of a group: to a worker it is the supervisor that says what follows.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, LATER)
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN if under_supervisor else _leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ALL - LATER)  # a supervisor starts its workers with all of them held
    if under_supervisor:
        _end_with_parent()


def release() -> None:
    """Let through what was held back; its handlers stand."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ALL)


class Listener:
    """Has a loop that runs in this thread call an action for each of its signals, until `ignore`.

    A loop's own handlers would end with the loop, and a signal that comes after it would kill the process. None is lost
    while there is no memory: what has come is written down in what was allocated before.

    Args:
        loop: where the actions run.
        actions: by signal; those that come first are done first.
        heard: called in the handler itself, in the middle of anything, for what cannot wait until the loop turns.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        actions: Mapping[signal.Signals, Callable[[], object]],
        heard: Callable[[int], object],
    ) -> None:
        self._loop = loop
        self._actions = dict(actions)
        self._heard = heard
        self._came = bytearray(signal.NSIG)
        self._done = bytearray(signal.NSIG)
        for number in actions:
            signal.signal(number, self._handle)
        release()

    def pass_on(self) -> None:
        """Have the loop act on what has come and is not done; any thread may ask again."""
        if self._came != self._done:
            with suppress(RuntimeError):  # the loop is closed: the process is about to end
                self._loop.call_soon_threadsafe(self._act)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._came[number] = (self._came[number] + 1) & 255
        try:
            self._heard(number)
            self.pass_on()
        except MemoryError:
            pass  # it is passed on later; raised here, it would end whatever was running

    def _act(self) -> None:
        for number, action in self._actions.items():
            while self._came[number] != self._done[number]:
                self._done[number] = (self._done[number] + 1) & 255
                try:
                    action()
                except MemoryError:
                    self._done[number] = (self._done[number] - 1) & 255
                    return


def ignore() -> None:
    """Take no more signals: the process is about to end."""
    for number in ALL - {signal.SIGCHLD}:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def held_for_child() -> Iterator[None]:
    """Have a process that is started in this block begin with all signals held back, so that none can end it early."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ALL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """End a process that has touched nothing yet."""
    # An exception would not do: what is being imported may catch it, and CPython turns some into others.
    os._exit(0)


def _end_with_parent() -> None:
    """Have Linux ask this worker to stop when its supervisor dies: the next one's would find its files locked."""
    import ctypes  # noqa: PLC0415 - for workers only

    parent = os.getppid()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before we could ask
        raise SystemExit(0)
