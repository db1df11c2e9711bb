"""When chunks are queued by their age or tried again, and one attempt: made ready, sent to the output, and judged."""

from __future__ import annotations

import asyncio
import math
from contextlib import nullcontext
from typing import Any, Final

from logpipe.engine.accounting import coming_through_error
from logpipe.engine.buffering.chunking import Staging
from logpipe.engine.delivery.outcome import Outcome
from logpipe.errors import PermanentError
from logpipe.plugin import Host, Output, StoredChunk
from logpipe.plugin.failures import failure_of


class Attempts:
    """The attempts of one output, several at the same time."""

    def __init__(self, output: Output[Any], outcome: Outcome) -> None:
        self._output = output
        self._outcome = outcome
        self._idle = asyncio.Event()
        self.going_on = 0
        """How many there are now."""

    async def make(self, chunk: StoredChunk) -> bool:
        """Try a chunk once; returns whether it is dealt with. It is back in the queue if it is not."""
        with coming_through_error() if chunk.key.came_through_error else nullcontext():
            return await self._try(chunk)

    async def ended(self) -> None:
        """Wait until there are none."""
        while self.going_on:
            await self._idle.wait()

    async def _try(self, chunk: StoredChunk) -> bool:
        end, sending = self._outcome, self._outcome.sending
        began = end.host.clock.monotonic()
        retry = end.staging.queue.retry_of(chunk)
        secondary = sending.secondary if retry is not None and retry.wants_secondary(began) else None
        by_secondary = secondary is not None
        self.going_on += 1
        self._idle.clear()
        try:
            await sending.prepare(chunk)
            if len(chunk):
                await sending.send(self._output if secondary is None else secondary, chunk)
                await end.giving_up.settle_errors()
        except PermanentError as refusal:
            await end.refused(chunk, refusal)
        except BaseException as raised:  # whatever the output raises follows the retry settings
            error = failure_of(raised)
            if error is None:
                end.give_back(chunk)
                raise
            if (steps := end.failed(chunk, error, began, by_secondary=by_secondary)) is None:
                return False
            await end.give_up(chunk, error, steps)
        else:
            if len(chunk):
                await end.delivered(chunk, began, by_secondary=by_secondary)
            else:  # a damaged file with nothing left in it, or a write that failed
                await end.let_go(chunk)
        finally:
            self.going_on -= 1
            if not self.going_on:
                self._idle.set()
        return True


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
