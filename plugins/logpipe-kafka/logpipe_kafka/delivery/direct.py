"""Receipts of outputs without a buffer, released when a broker has confirmed the events."""

from __future__ import annotations

from collections.abc import Sequence

from logpipe import EventBatch, Host
from logpipe_kafka.messages.batch import Batch


class DirectSource:
    """The events of one call of `process`; the batch's receipt is held while any of them is unconfirmed."""

    __slots__ = ("_batch", "_host")

    def __init__(self, batch: EventBatch, host: Host) -> None:
        self._batch = batch
        self._host = host

    def hold(self) -> None:
        """Hold the receipt."""
        if self._batch.receipt is not None:
            self._batch.receipt.hold()

    def settle(self, numbers: Sequence[int]) -> None:
        """Release the receipt."""
        del numbers
        if self._batch.receipt is not None:
            self._batch.receipt.release()

    def refuse(self, number: int, error: Exception) -> None:
        """Pass an event to `@ERROR`, which holds the receipt from now on."""
        batch = self._batch
        self._host.emit_error(batch.tag, batch.times[number], batch.record(number), error, receipt=batch.receipt)


class DirectOwner:
    """Owns the batches of an output without a buffer; they are retried without limit, since there is no other copy."""

    def troubled(self, error: Exception) -> None:
        """Do nothing: the batch is sent again until it is confirmed."""

    def refused(self, batch: Batch, error: Exception) -> None:
        """Pass the events to `@ERROR`."""
        batch.refuse(error)
