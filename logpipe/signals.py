"""Signal handling from the start of the process: early signals are not lost and do not kill it.

A signal without a handler would end the process, even one for a flush. So the signals that only a running graph handles
are blocked until there is one, and TERM and INT end a process that has not begun any work.
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
LATER: Final = frozenset(
    {signal.SIGHUP, signal.SIGUSR2, signal.SIGUSR1, signal.SIGCONT, signal.SIGQUIT, signal.SIGWINCH}
)
"""The signals that are blocked until a graph runs."""
ALL: Final = LATER | frozenset({*STOPS, signal.SIGCHLD})
_PR_SET_PDEATHSIG: Final = 1


def hold(*, under_supervisor: bool) -> None:
    """Block signals, first of all in a process; call `release` once handlers are installed.

    Ctrl-C in a terminal reaches every process of a group; a worker ignores it, since its supervisor forwards it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, LATER)
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN if under_supervisor else _leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ALL - LATER)  # a supervisor starts its workers with all of them held
    if under_supervisor:
        _end_with_parent()


def release() -> None:
    """Unblock all signals, once their handlers are installed."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ALL)


class Listener:
    """Calls an action in the event loop of this thread for each signal, until `ignore`.

    A loop's own handlers would end with the loop, and a later signal would kill the process. No signal is lost when
    memory runs out: they are counted in arrays allocated before.

    Args:
        loop: where the actions run.
        actions: by signal, in order of priority.
        on_signal: called in the signal handler itself, for what cannot wait for the loop.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        actions: Mapping[signal.Signals, Callable[[], object]],
        on_signal: Callable[[int], object],
    ) -> None:
        self._loop = loop
        self._actions = dict(actions)
        self._on_signal = on_signal
        self._received = bytearray(signal.NSIG)
        self._handled = bytearray(signal.NSIG)
        for number in actions:
            signal.signal(number, self._handle)
        release()

    def dispatch(self) -> None:
        """Schedule the actions of unhandled signals in the loop; may be called from any thread."""
        if self._received != self._handled:
            with suppress(RuntimeError):  # the loop is closed: the process is about to end
                self._loop.call_soon_threadsafe(self._act)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._received[number] = (self._received[number] + 1) & 255
        try:
            self._on_signal(number)
            self.dispatch()
        except MemoryError:
            pass  # dispatched later; an exception here would interrupt whatever was running

    def _act(self) -> None:
        for number, action in self._actions.items():
            while self._received[number] != self._handled[number]:
                self._handled[number] = (self._handled[number] + 1) & 255
                try:
                    action()
                except MemoryError:
                    self._handled[number] = (self._handled[number] - 1) & 255
                    return


def ignore() -> None:
    """Ignore all signals: the process is about to end."""
    for number in ALL - {signal.SIGCHLD}:
        signal.signal(number, signal.SIG_IGN)


def hold_for_next() -> None:
    """Block all signals until the program that takes the place of this one has its handlers: see `hold`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ALL)


@contextmanager
def held_for_child() -> Iterator[None]:
    """Block all signals for a process started within, so that none ends it before its handlers are installed."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ALL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """End a process that has not begun any work."""
    # An exception would not do: a module being imported may catch it, and CPython replaces some.
    os._exit(0)


def _end_with_parent() -> None:
    """Let Linux send this worker SIGTERM when its supervisor dies: else new workers would find its files locked."""
    import ctypes  # noqa: PLC0415 - for workers only

    parent = os.getppid()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # the supervisor died before the call
        raise SystemExit(0)
