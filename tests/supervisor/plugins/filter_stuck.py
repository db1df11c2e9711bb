"""A filter for tests of the end: it never returns, in one way or the other."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from logpipe import Filter, Options, Record, Time, param


def _loops() -> None:
    while True:
        pass


def _sleeps() -> None:
    while True:
        time.sleep(3600)


def _holds_the_lock() -> None:
    ctypes.PyDLL(None).sleep(3600)


def _pauses() -> None:
    time.sleep(8)


def _waits_for_a_lock() -> None:
    threading.Semaphore(0).acquire()


WAYS: Final[dict[str, Callable[[], None]]] = {
    "loops": _loops,
    "sleeps": _sleeps,
    "holds_the_lock": _holds_the_lock,
    "pauses": _pauses,
    "waits_for_a_lock": _waits_for_a_lock,
}


class StuckOptions(Options):
    """Settings of `@type stuck`."""

    way: Literal["loops", "sleeps", "holds_the_lock", "pauses", "waits_for_a_lock"] = param("What it does.")
    at: str = param("File that is made when it begins.")
    when: str = param("File whose being there it waits for, in Python code.", default="")


class Stuck(Filter[StuckOptions], type="stuck"):
    """Does it at the first event."""

    def filter(self, _tag: str, _time: Time, record: Record) -> Record | None:
        """Do it, once."""
        at = Path(self.options.at)
        if not at.exists():
            at.touch()
            while self.options.when and not Path(self.options.when).exists():
                time.sleep(0.01)
            WAYS[self.options.way]()
        return record
