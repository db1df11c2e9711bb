"""Named places where a crash test kills this process: `LOGPIPE_FAULT=name:n`, at the n-th passing of that name.

Several, separated by commas, may be armed; `:n` may be left out for the first. Without the variable `fault` does
nothing.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from typing import Final

VARIABLE: Final = "LOGPIPE_FAULT"


def armed(spec: str, kill: Callable[[], None]) -> Callable[[str], None]:
    """Return the function that counts passings and calls `kill` at the one `spec` asks for; any thread may call it."""
    wanted: dict[str, int] = {}
    for part in spec.split(","):
        name, _, number = part.strip().partition(":")
        wanted[name] = int(number or 1)
    passings: dict[str, Iterator[int]] = {name: itertools.count(1) for name in wanted}

    def fault(name: str) -> None:
        if name in wanted and next(passings[name]) == wanted[name]:
            kill()

    return fault


def _pass(_name: str) -> None:
    pass


def _kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


_spec = os.environ.get(VARIABLE, "")
fault: Callable[[str], None] = armed(_spec, _kill_this_process) if _spec else _pass
"""Marks a place that a crash test can kill this process at."""
