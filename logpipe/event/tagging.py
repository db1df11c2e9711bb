"""Events whose tags stand in their records, to batches."""

from __future__ import annotations

from collections.abc import Iterable

from logpipe.event.batch import EventBatch, Record, Time


def by_tag(tags: Iterable[str | None], times: Iterable[Time], records: Iterable[Record]) -> list[EventBatch]:
    """Return a batch for each tag, in the order in which they appear; events whose tag is None are left out."""
    batches: dict[str, EventBatch] = {}
    for tag, time, record in zip(tags, times, records, strict=True):
        if tag is not None:
            batch = batches.get(tag)
            if batch is None:
                batch = batches[tag] = EventBatch(tag, [], [])
            batch.times.append(time)
            batch.records.append(record)
    return [*batches.values()]
