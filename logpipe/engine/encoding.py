"""What an output makes of its events on their way into a buffer, event by event where it fails on all together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from logpipe.event import EventBatch

Encode: TypeAlias = Callable[[EventBatch], list[bytes]]
"""`Output.encode`."""


def encode_all(encode: Encode, batch: EventBatch) -> list[bytes]:
    """Return the payloads of a batch, as many as it has events.

    Raises:
        Exception: what the output raises, or that it has returned another number of them.
    """
    payloads = encode(batch)
    if len(payloads) != len(batch):
        raise ValueError(f"encode returned {len(payloads)} payloads for {len(batch)} events: return one for each")
    return payloads


def encode_each(
    encode: Encode, batch: EventBatch, leave_out: Callable[[EventBatch, int, Exception], None]
) -> tuple[EventBatch, list[bytes]]:
    """Return the events that an output can encode, with their payloads; the others go to `leave_out`, by number."""
    encoded = EventBatch(batch.tag, [], [], batch.receipt)
    payloads: list[bytes] = []
    for index, (time, record) in enumerate(zip(batch.times, batch.records, strict=True)):
        try:
            payloads += encode_all(encode, EventBatch(batch.tag, [time], [record], batch.receipt))
        except Exception as error:  # noqa: BLE001 - a bad record must not stop its batch, whatever it broke
            leave_out(batch, index, error)
        else:
            encoded.times.append(time)
            encoded.records.append(record)
    return encoded, payloads
