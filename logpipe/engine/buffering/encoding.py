"""What an output makes of its events on their way into a buffer, and how large they are in a chunk.

They are encoded event by event where that fails on all together, and measured where they are encoded or few.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import orjson

from logpipe.event import EventBatch, LineBatch, Payloads, Record, size_of

Encode: TypeAlias = Callable[[EventBatch], Payloads]
"""`Output.encode`."""


def encode_all(encode: Encode, batch: EventBatch) -> Payloads:
    """Return the payloads of a batch, as many as it has events.

    Raises:
        Exception: what the output raises, or that it has returned another number of them.
    """
    payloads = encode(batch)
    if len(payloads) != len(batch.times):
        raise ValueError(f"encode returned {len(payloads)} payloads for {len(batch)} events: return one for each")
    return payloads


def encode_each(
    encode: Encode, batch: EventBatch, leave_out: Callable[[EventBatch, int, Exception], None]
) -> tuple[EventBatch, Payloads]:
    """Return the events that an output can encode, with their payloads; the others go to `leave_out`, by number."""
    encoded: list[int] = []
    payloads: list[bytes] = []
    for number in range(len(batch)):
        try:
            payloads += encode_all(encode, batch.slice(number, number + 1))
        except Exception as error:  # noqa: BLE001 - a bad record must not stop its batch, whatever it broke
            leave_out(batch, number, error)
        else:
            encoded.append(number)
    return batch.pick(encoded), payloads


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
