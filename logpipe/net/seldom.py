"""Messages about what strangers send, of whom none may fill the log."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


class Seldom:
    """Logs one message a second at most, each with the number of those that were left out since the last.

    Args:
        log: what logs one, `host.log.warning` say.
        monotonic: `host.clock.monotonic`.
        what: what those are that are left out, in the plural: requests.
    """

    def __init__(self, log: Callable[..., Any], monotonic: Callable[[], float], what: str) -> None:
        self._log = log
        self._monotonic = monotonic
        self._what = what
        self._silent_until = -math.inf
        self._unsaid = 0

    def __call__(self, message: str, *values: object) -> None:
        """Log a message, `%`-formatted as by `logging`, or count it."""
        now = self._monotonic()
        if now < self._silent_until:
            self._unsaid += 1
            return
        more = f"; and {self._unsaid} other {self._what} since the last message" if self._unsaid else ""
        self._silent_until, self._unsaid = now + 1.0, 0
        self._log(f"{message}%s", *values, more)
