"""Warnings about what files hold, a few per file and minute: ten thousand bad lines are one fact, not as many messages.

It is also what keeps a file that holds our own log from feeding itself.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

from logpipe import Clock

SHOWN: Final = 5
"""Messages of one kind per file and window."""

WINDOW: Final = 60.0
"""Seconds after which the count starts again."""


@dataclass(slots=True)
class _Window:
    since: float
    said: int = 0
    unsaid: int = 0


class Complaints:
    """Counts what was said about each file, and says how much was left out."""

    def __init__(self, log: logging.Logger | logging.LoggerAdapter[Any], clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._windows: dict[tuple[str, str], _Window] = {}

    def room(self, name: str, what: str, count: int) -> int:
        """Return how many of `count` things may be said of a file now; the rest is told later, as a number."""
        window = self._windows.get((name, what))
        if window is None:
            window = self._windows[name, what] = _Window(self._clock.monotonic())
        allowed = min(count, SHOWN - window.said)
        window.said += allowed
        window.unsaid += count - allowed
        return allowed

    def sum_up(self, *, everything: bool = False) -> None:
        """Say how much was left out in the windows that are over, or in all of them."""
        now = self._clock.monotonic()
        for key, window in list(self._windows.items()):
            if everything or now - window.since >= WINDOW:
                name, what = key
                if window.unsaid:
                    self._log.warning("%s: %d more times in %s", what, window.unsaid, name)
                del self._windows[key]
