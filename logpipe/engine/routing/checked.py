"""What a filter gave back, looked at where it came from: the next stage would be blamed, or deliver it."""

from __future__ import annotations

import inspect
from typing import Any

from logpipe.event import EventBatch, LineBatch


def problem_of(passed: Any, stage: str) -> TypeError | None:
    """Return what is wrong with what a filter's `process` returned; None where nothing is."""
    if not isinstance(passed, EventBatch):
        if inspect.iscoroutine(passed):
            passed.close()
        return TypeError(f"{stage}.process returned a {type(passed).__name__}: return an EventBatch")
    if passed.is_uneven:
        lengths = f"{len(passed.times)} times and {len(passed.records)} records"
        return TypeError(f"{stage}.process returned a batch of {lengths}: both must be as many")
    if isinstance(passed, LineBatch) and passed.is_unread:
        return None
    if passed.records and not {*map(type, passed.records)} <= {dict}:
        records: list[Any] = passed.records
        odd = {type(each).__name__ for each in records if not isinstance(each, dict)}
        if odd:
            return TypeError(f"{stage}.process returned a {odd.pop()} in the place of a record: records are dicts")
    return None


def mended(batch: EventBatch) -> EventBatch:
    """Return the events of a batch that a filter has changed in place before it failed, as far as they are events."""
    given: list[Any] = batch.records
    records = [each if isinstance(each, dict) else {"message": str(each)} for each in given]
    times = [*batch.times[: len(records)]]
    times += [times[-1] if times else 0] * (len(records) - len(times))
    return EventBatch(batch.tag, times, records, batch.receipt)
