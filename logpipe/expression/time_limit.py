"""A time limit for regular expressions from configurations on untrusted text: some take hours on one line.

A timer of the operating system interrupts `re`, which costs only two system calls a batch. It counts the CPU time of
this process, and works only in the main thread, where the event loop runs; elsewhere there is no limit.
"""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final, TypeVar

from logpipe.errors import LogpipeError

T = TypeVar("T")
R = TypeVar("R")

LONGEST: Final = 0.5
"""Seconds that a batch may take, and at first one item."""
SHORTEST: Final = 0.01
SHORT_TEXT: Final = 256
"""Characters; on shorter texts only patterns with exponential time are slow."""


class TimeLimitExceeded(LogpipeError):  # noqa: N818 - named after the problem
    """A search exceeded its time limit."""


class _Timer:
    """The process's timer; `armed` is whether it is in use."""

    def __init__(self) -> None:
        self.armed = False
        self._usable: bool | None = None

    def usable(self) -> bool:
        """Whether a limit can be set: the signal is not used otherwise, and this is the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return False
        if self._usable is None:
            self._usable = signal.getsignal(signal.SIGVTALRM) is signal.SIG_DFL
            if self._usable:
                signal.signal(signal.SIGVTALRM, self._interrupt)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGVTALRM})
        return self._usable and not self.armed

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if self.armed:
            self.armed = False
            raise TimeLimitExceeded


_TIMER: Final = _Timer()


def call_within(function: Callable[[T], R], argument: T, *, seconds: float = LONGEST) -> R:
    """Return the function's result.

    Raises:
        TimeLimitExceeded: it took longer; it was interrupted anywhere, so it should have no side effects.
    """
    if not _TIMER.usable():
        return function(argument)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    _TIMER.armed = True
    try:
        return function(argument)
    except TimeLimitExceeded:
        raise TimeLimitExceeded(
            f"a regular expression took more than {seconds:g} s on one event; simplify it"
        ) from None
    finally:
        _TIMER.armed = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def limited_search(pattern: re.Pattern[str]) -> Callable[[str], re.Match[str] | None]:
    """Return a pattern's search for one text at a time, which raises TimeLimitExceeded where it takes too long.

    Short texts are searched without the timer, which costs more than the search, unless the pattern may take
    exponential time.
    """
    from logpipe.expression.runtime.matches import may_explode  # noqa: PLC0415 - few stages search like this

    search = pattern.search
    if may_explode(pattern.pattern):
        return lambda text: call_within(search, text)
    return lambda text: search(text) if len(text) <= SHORT_TEXT else call_within(search, text)


class TimeLimit:
    """The limit of one stage; it gets shorter while events exceed it, since many of them would block the loop.

    Args:
        longest: the seconds that a batch may take, and at first one item.
        shortest: the seconds that an item may always take.
    """

    def __init__(self, longest: float = LONGEST, shortest: float = SHORTEST) -> None:
        self._longest = longest
        self._shortest = shortest
        self._seconds = longest

    def map(
        self, function: Callable[[T], R], items: Sequence[T], *, instead: Callable[[int, TimeLimitExceeded], R]
    ) -> list[R]:
        """Return `function` of each item; for one that takes too long, the result of `instead` for its place.

        The function may be called twice for an item, so it must have no side effects.
        """
        try:
            results = call_within(lambda every: list(map(function, every)), items, seconds=self._longest)
        except TimeLimitExceeded:
            return [self._one(function, item, place, instead) for place, item in enumerate(items)]
        self._seconds = min(self._longest, self._seconds * 2)
        return results

    def _one(
        self, function: Callable[[T], R], item: T, place: int, instead: Callable[[int, TimeLimitExceeded], R]
    ) -> R:
        try:
            return call_within(function, item, seconds=self._seconds)
        except TimeLimitExceeded as error:
            self._seconds = max(self._shortest, self._seconds / 2)
            return instead(place, error)
