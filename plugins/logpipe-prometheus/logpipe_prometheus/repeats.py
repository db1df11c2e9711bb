"""Errors that are said once in a while, as `ignore_error_log_interval` wants it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Repeats:
    """Logs an error, and the same one again only after `interval` seconds, with the number of those left out."""

    def __init__(self, log: Callable[..., Any], monotonic: Callable[[], float], interval: float) -> None:
        self._log = log
        self._monotonic = monotonic
        self._interval = interval
        self._last = ""
        self._said_at = 0.0
        self._left_out = 0

    def __call__(self, message: str, problem: Exception) -> None:
        """Log it, or count it."""
        now, text = self._monotonic(), str(problem)
        if text == self._last and now - self._said_at < self._interval:
            self._left_out += 1
            return
        more = f" ({self._left_out} more since the last message)" if self._left_out and text == self._last else ""
        self._last, self._said_at, self._left_out = text, now, 0
        self._log(f"{message}%s", problem, more)
