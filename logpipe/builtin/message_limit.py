"""How often the log is told of what strangers cause: lines in no format, say."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

from logpipe import Clock
from logpipe.ruby import inspect

SHOWN: Final = 5
"""Messages of one kind per name and window."""

WINDOW: Final = 60.0
"""Seconds after which the count starts again."""

_SHOWN_BYTES: Final = 512
"""Bytes of a line that a message shows."""


@dataclass(slots=True)
class _Window:
    since: float
    said: int = 0
    unsaid: int = 0


class MessageLimit:
    """Counts what was said about each name, a file's or a peer's say, and says how much was left out.

    The names are the caller's to bound: each has an entry until the next `sum_up` after its window.
    """

    def __init__(self, log: logging.Logger | logging.LoggerAdapter[Any], clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._windows: dict[tuple[str, str], _Window] = {}

    def allowed(self, name: str, what: str, count: int) -> int:
        """Return how many of `count` things may be said of a name now; the rest is told later, as a number."""
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


def shortened(line: bytes) -> str:
    """Return a line as Ruby's String#inspect would show it, a long one cut short."""
    text = inspect(line[:_SHOWN_BYTES].decode("utf-8", "replace"))
    return text if len(line) <= _SHOWN_BYTES else f"{text}… ({len(line)} bytes)"
