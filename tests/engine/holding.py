"""Filters that hold events back, for the tests of what they forward."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from logpipe import AsyncFilter, EventBatch, Filter, Options, Record, Time, param
from tests.engine.planted import OWN_LOG


class HoldOptions(Options):
    """Settings of the filters below."""

    hold: str = param("What a record must say to be held back.", default="held")
    tag: str = param("The tag that it is forwarded with; its own where this is empty.", default="")


class Hold(Filter[HoldOptions], type="hold"):
    """Keeps records that say so until `let_go` or the end."""

    def __init__(self, options: HoldOptions, host: object) -> None:
        super().__init__(options, host)  # type: ignore[arg-type]
        self.kept: list[EventBatch] = []
        self.processed = 0

    def process(self, batch: EventBatch) -> EventBatch:
        self.processed += len(batch)
        mask = [record.get("say") != self.options.hold for record in batch.records]
        for (time, record), passes in zip(batch.events(), mask, strict=True):
            if not passes:
                if batch.receipt is not None:
                    batch.receipt.hold()
                self.kept.append(EventBatch(self.options.tag or batch.tag, [time], [record], batch.receipt))
        passing = [event for event, passes in zip(batch.events(), mask, strict=True) if passes]
        times, records = [time for time, _ in passing], [record for _, record in passing]
        return EventBatch(batch.tag, times, records, batch.receipt)

    def held(self) -> int:
        return len(self.kept)

    async def let_go(self) -> None:
        while self.kept:
            await self.host.forward(self.kept.pop(0))

    async def drain(self) -> None:
        await self.let_go()


class HoldQuietly(Hold, type="hold_quietly"):
    """Does not say how much it holds."""

    def held(self) -> int:
        return 0


class Mark(Filter[HoldOptions], type="mark"):
    """Counts how often a record came by."""

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        del tag, time
        record[self.options.tag] = record.get(self.options.tag, 0) + 1
        return record


class Slow(AsyncFilter[Options], type="slow"):
    """Takes as long as it is told over batches that it has not seen yet."""

    waits: ClassVar[dict[str, asyncio.Event]] = {}

    async def process(self, batch: EventBatch) -> EventBatch:
        name = str(batch.records[0].get("name"))
        if name in self.waits:
            await self.waits[name].wait()
        return batch


PLUGINS = (Hold, HoldQuietly, Mark, Slow)


def route(holding: str, *, behind: str = "") -> str:
    """Return a configuration: a mark, the filter that holds back, another mark, a collector."""
    before, after = (f"<filter **>\n@type mark\n@id {name}\ntag {name}\n</filter>\n" for name in ("m1", "m2"))
    hold = f"<filter a b>\n@type {holding}\n@id h\n</filter>\n"
    return f"{OWN_LOG}{before}{hold}{after}{behind}<match **>\n@type test\n@id c\n</match>\n"
