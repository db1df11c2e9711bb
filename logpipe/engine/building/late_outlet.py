"""An outlet that was built when the graph had started: an output may need one for each tag, say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from logpipe.engine.accounting.edges import UNNAMED, Edge, Taker
from logpipe.engine.delivery.outlet import BufferedOutlet
from logpipe.engine.hosts.stage import Stage
from logpipe.engine.hosts.starting import StartError, started
from logpipe.errors import RetryLater
from logpipe.event import EventBatch


class LateOutlet:
    """Starts what was built with its first batch; the graph stops it with all others.

    Args:
        outlet: the way in.
        stages: the outputs that were built.
        buffers: theirs.
    """

    def __init__(self, outlet: Taker, stages: Sequence[Stage[Any]], buffers: Sequence[BufferedOutlet]) -> None:
        self._outlet = outlet
        self._starts = [(stage.plugin.start, stage.host) for stage in stages]
        self._starts += [(buffer.start, buffer.host) for buffer in buffers]
        self._one_at_a_time = asyncio.Lock()

    async def process(self, batch: EventBatch, edge: Edge = UNNAMED) -> None:
        """Accept a batch.

        Raises:
            RetryLater: something could not start, which is tried again with the next batch.
        """
        if self._starts:
            try:
                async with self._one_at_a_time:
                    await self._start()
            except RetryLater:
                edge.taken += len(batch.times)  # what is refused was taken
                raise
        await self._outlet.process(batch, edge)

    async def _start(self) -> None:
        while self._starts:
            start, host = self._starts[0]
            try:
                await started(start(), host)
            except StartError as problem:
                raise RetryLater(str(problem)) from problem
            del self._starts[0]
