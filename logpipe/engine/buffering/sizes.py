"""How large events are in a chunk: measured where they are encoded or few, estimated elsewhere."""

from __future__ import annotations

from typing import Final

import orjson

from logpipe.event import EventBatch, LineBatch, Payloads, Record, size_of

SAMPLE: Final = 8
"""Records that are measured to estimate the size of a batch."""

UNKNOWN_SIZE: Final = 4096
"""Bytes that a record counts for where it cannot be measured."""


def estimate_size(batch: EventBatch) -> int:
    """Return the size of events as JSON, in bytes: measured for a few, estimated from a sample for many.

    Lines that nobody has decoded are as long as they are.
    """
    if isinstance(batch, LineBatch) and batch.is_unread:
        return batch.nbytes
    records = batch.records
    if len(records) <= SAMPLE:
        return sum(map(_measure, records))
    step = len(records) // SAMPLE
    sample = records[::step]
    return sum(map(_measure, sample)) * len(records) // len(sample)


def _measure(record: Record) -> int:
    try:
        return len(orjson.dumps(record))
    except TypeError:
        return _measure_text(record)


def _measure_text(record: Record) -> int:
    try:
        return len(repr(record))
    except RecursionError:  # nested without end
        return UNKNOWN_SIZE


def halves(batch: EventBatch, payloads: Payloads | None) -> list[tuple[EventBatch, Payloads | None, int]]:
    """Return a batch and its payloads in two parts, each with its size in bytes."""
    middle, end = len(batch) // 2, len(batch)
    parts: list[tuple[EventBatch, Payloads | None, int]] = []
    for start, stop in ((0, middle), (middle, end)):
        half = batch.slice(start, stop)
        half_payloads = None if payloads is None else payloads[start:stop]
        size = estimate_size(half) if half_payloads is None else size_of(half_payloads)
        parts.append((half, half_payloads, size))
    return parts
