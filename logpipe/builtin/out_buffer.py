"""Keeps events in a buffer and emits them from there. Defaults: fluentd's plugin/out_buffer.rb."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from logpipe import Chunk, Options, Output, Receipt, param


class BufferOptions(Options):
    """Settings of `<match> @type buffer`."""

    label: str = param("The label that events go to.", name="@label")


class BufferOutput(Output[BufferOptions], type="buffer"):
    """Puts events into a buffer, in files unless told otherwise, and emits them from there into a label.

    A chunk is kept until all that became of its events is past a kill -9 as well: behind a buffer in memory, until
    that has delivered. `flush_thread_count` says how many chunks may be on their way.
    """

    passes_to = "route"
    buffer_argument = "tag"
    buffer_defaults: ClassVar = {"@type": "file", "flush_mode": "interval", "flush_interval": "10"}

    async def write(self, chunk: Chunk) -> None:
        """Emit the events of a chunk, and wait until nobody owes anything for them.

        Raises:
            Exception: an output did not accept them; `chunk.progress` is the number of those that were accepted.
        """
        settled = asyncio.Event()
        receipt = Receipt(settled.set, came_through_error=chunk.key.came_through_error)
        try:
            await self._emit(chunk, receipt)
        except Exception:
            receipt.release()
            await settled.wait()  # what was accepted is not emitted again, so it must not be lost either
            raise
        receipt.release()
        await settled.wait()

    async def _emit(self, chunk: Chunk, receipt: Receipt) -> None:
        done: int = chunk.progress or 0
        passed = 0
        for batch in chunk.batches():
            first, passed = passed, passed + len(batch)
            if passed <= done:
                continue
            rest = batch.slice(max(0, done - first), len(batch)).copy()
            rest.receipt = receipt
            await self.host.emit(rest)
            chunk.progress = passed
