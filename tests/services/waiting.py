"""Waiting for a thing to be so, without guessing how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

INTERVAL = 0.05


def wait_until(condition: Callable[[], T], *, seconds: float, what: str | Callable[[], str]) -> T:
    """Ask again and again until the answer is true, and return it.

    Args:
        condition: asked at once, then every twentieth of a second.
        seconds: how long to go on asking.
        what: what was waited for, as it stands after "waited for" in the error; a function is called only then.

    Raises:
        TimeoutError: the answer was not true in time.
    """
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what() if callable(what) else what}")
        time.sleep(INTERVAL)
    return answer
