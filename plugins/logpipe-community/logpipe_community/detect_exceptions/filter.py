"""Joins the lines of stack traces, as a filter: the tag stays as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from logpipe import AsyncFilter, EventBatch, FilterHost
from logpipe.net import Seldom
from logpipe_community.detect_exceptions.accumulator import Accumulator, Trace
from logpipe_community.detect_exceptions.options import TraceOptions
from logpipe_community.joining import joint, joint_with

TOO_MUCH: Final = "too much is held to be joined: %d traces go on as they are"


class FilterOptions(TraceOptions):
    """Settings of `<filter> @type detect_exceptions`."""


class DetectExceptionsFilter(AsyncFilter[FilterOptions], type="detect_exceptions"):
    """Joins the lines of a stack trace into the event of its first line; all else passes.

    A trace goes on when a line comes that is not its, when it has waited for `multiline_flush_interval`, at `max_lines`
    and `max_bytes`, and at the end.
    """

    def __init__(self, options: FilterOptions, host: FilterHost) -> None:
        super().__init__(options, host)
        self._traces = Accumulator(options, host.clock)
        self._warn = Seldom(host.log.warning, host.clock.monotonic, "batches")

    async def start(self) -> None:
        """Begin to look for traces that wait for too long."""
        self.host.start_task(self._flush(), name="flush")

    async def process(self, batch: EventBatch) -> EventBatch:
        """Return what belongs to no trace, and complete traces; what is too much to be held is accepted before."""
        times, records, complete, given_up = self._traces.push(batch)
        self._joined(complete)
        passed = EventBatch(batch.tag, times, records, joint_with(batch, [*complete]))
        if given_up:
            self._warn(TOO_MUCH, len(given_up))
            await self._forward(given_up)  # where nothing is accepted, whoever brings more waits
        return passed

    def held(self) -> int:
        """Return how many lines wait."""
        return self._traces.open.held()

    async def drain(self) -> None:
        """Let go of every trace, as it is."""
        await self._forward([*self._traces.open.all()])

    async def _flush(self) -> None:
        while True:
            await self.host.clock.sleep(max(self._traces.patience / 10, 1.0))
            if old := self._traces.old():
                self.host.start_task(self._forward(old), name="forward")

    async def _forward(self, traces: list[Trace]) -> None:
        by_tag: dict[str, list[Trace]] = {}
        for trace in traces:
            by_tag.setdefault(trace.tag, []).append(trace)
        self._joined(traces)
        await asyncio.gather(*(self._forward_all(tag, of_tag) for tag, of_tag in by_tag.items()))

    async def _forward_all(self, tag: str, traces: list[Trace]) -> None:
        with self._traces.open.leaving(traces):
            await self.host.forward(batch_of(tag, traces))

    def _joined(self, traces: Iterable[Trace]) -> None:
        self.host.dropped(sum(len(trace) - 1 for trace in traces))


def batch_of(tag: str, traces: list[Trace]) -> EventBatch:
    """Return the events that traces become; the holds of their receipts go with the batch."""
    times = [trace.events[0][0] for trace in traces]
    return EventBatch(tag, times, [trace.record() for trace in traces], joint(traces))
