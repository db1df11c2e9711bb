"""Waiting for a thing to be so, without guessing how long it takes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

INTERVAL = 0.05


def slowness() -> float:
    """Return how many times longer than alone on this machine a thing takes now: how many programs want each core."""
    return max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0)))


def wait_until(condition: Callable[[], T], *, seconds: float, what: str | Callable[[], str]) -> T:
    """Ask again and again until the answer is true, and return it.

    Args:
        condition: asked at once, then every twentieth of a second.
        seconds: how long to go on asking, on a machine that has nothing else to do.
        what: what was waited for, as it stands after "waited for" in the error; a function is called only then.

    Raises:
        TimeoutError: the answer was not true in time.
    """
    began = time.monotonic()
    while not (answer := condition()):
        waited = time.monotonic() - began
        if waited > seconds * slowness():
            raise TimeoutError(f"waited {waited:.1f} s for {what() if callable(what) else what}")
        time.sleep(INTERVAL)
    return answer
