"""How large events are in a chunk: measured where they are encoded or few, estimated elsewhere."""

from __future__ import annotations

from typing import Final

import orjson

from logpipe.event import EventBatch, Record

SAMPLE: Final = 8
"""Records that are measured to estimate the size of a batch."""

UNKNOWN_SIZE: Final = 4096
"""Bytes that a record counts for where it cannot be measured."""


def estimate_size(records: list[Record]) -> int:
    """Return the size of records as JSON, in bytes: measured for a few, estimated from a sample for many."""
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


def halves(batch: EventBatch, payloads: list[bytes] | None) -> list[tuple[EventBatch, list[bytes] | None, int]]:
    """Return a batch and its payloads in two parts, each with its size in bytes."""
    middle = len(batch) // 2
    parts: list[tuple[EventBatch, list[bytes] | None, int]] = []
    for part in (slice(None, middle), slice(middle, None)):
        half = EventBatch(batch.tag, batch.times[part], batch.records[part], batch.receipt)
        half_payloads = None if payloads is None else payloads[part]
        size = estimate_size(half.records) if half_payloads is None else sum(map(len, half_payloads))
        parts.append((half, half_payloads, size))
    return parts
