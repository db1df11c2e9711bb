"""What an output makes of its events on their way into a buffer, event by event where it fails on all together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from logpipe.event import EventBatch, Payloads

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
