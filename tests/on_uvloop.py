"""Runs a test on uvloop, which is what runs in production."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import uvloop

LONGEST: Final = 150.0
"""Seconds. pytest's own limit is a signal whose handler raises, and uvloop waits on."""


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a test to its end.

    Raises:
        TimeoutError: it hangs.
    """

    async def limited() -> None:
        async with asyncio.timeout(LONGEST):
            await work

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(limited())
