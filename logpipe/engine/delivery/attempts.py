"""One attempt to deliver a chunk: made ready, sent to the output or to `<secondary>`, and judged."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Any

from logpipe.engine.accounting.coming_through_error import coming_through_error
from logpipe.engine.delivery.last_resort import LastResort
from logpipe.errors import PermanentError
from logpipe.plugin import Output, StoredChunk
from logpipe.plugin.failures import failure_of


class Attempts:
    """The attempts of one output, several at the same time."""

    def __init__(self, output: Output[Any], last_resort: LastResort) -> None:
        self._output = output
        self._last_resort = last_resort
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
        end, verdict, sending = self._last_resort, self._last_resort.verdict, self._last_resort.sending
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
                verdict.give_back(chunk)
                raise
            if (steps := verdict.failed(chunk, error, began, by_secondary=by_secondary)) is None:
                return False
            await end.give_up(chunk, error, steps)
        else:
            if len(chunk):
                await verdict.delivered(chunk, began, by_secondary=by_secondary)
            else:  # a damaged file with nothing left in it, or a write that failed
                await end.let_go(chunk)
        finally:
            self.going_on -= 1
            if not self.going_on:
                self._idle.set()
        return True
