"""When the chunks of one output are queued by their age, and when those that failed are due again."""

from __future__ import annotations

import math
from typing import Final

from logpipe.engine.buffering.chunking import Staging
from logpipe.plugin import Host

LONGEST_TICK: Final = 1.0
SHORTEST_TICK: Final = 0.05


class FlushTimer:
    """Wakes who delivers."""

    def __init__(self, staging: Staging, host: Host) -> None:
        self._staging = staging
        self._host = host
        self._wakes_at = math.inf

    async def run(self) -> None:
        """Queue what is old enough, for as long as the output runs."""
        options = self._staging.options
        # compat: output.rb wakes at an eleventh of the shortest period it must keep
        period = float(options.flush_interval)
        if options.timekey and "time" in options.chunk_keys:
            period = min(float(options.timekey), float(options.timekey_wait) or 1.0)
        while True:
            self._staging.enqueue_due()
            await self._host.clock.sleep(min(LONGEST_TICK, max(SHORTEST_TICK, period / 11)))

    async def wait_until_due(self) -> None:
        """Wait until another chunk may be tried; one timer, whatever fails, wakes all who wait."""
        queue, now = self._staging.queue, self._host.clock.monotonic()
        queue.changed.clear()
        if (seconds := queue.wait(now)) is not None and now + seconds < self._wakes_at:
            self._wakes_at = now + seconds
            self._host.start_task(self._wake(self._wakes_at), name="retry")
        await queue.changed.wait()

    async def _wake(self, moment: float) -> None:
        await self._host.clock.sleep(max(0.0, moment - self._host.clock.monotonic()))
        if self._wakes_at == moment:
            self._wakes_at = math.inf
        self._staging.queue.changed.set()
