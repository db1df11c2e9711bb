"""Time as it is; tests bring another clock."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """The real time."""

    def now(self) -> int:
        """Return nanoseconds since the epoch."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float | None) -> asyncio.Timeout:
        """Return what ends a block after so long."""
        return asyncio.timeout(seconds)
