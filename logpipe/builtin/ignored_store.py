"""A `<store ignore_error>` without a buffer: it must not delay the others, nor the input's position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from logpipe import EventBatch, Host, LogpipeError, Outlet, Receipt

PATIENCE: Final = 5.0
"""Seconds that such a store may take to accept a batch before it is skipped."""


class Stalled(LogpipeError):  # noqa: N818 - a state rather than an error
    """A store takes no events now."""


class IgnoredStore:
    """An outlet whose failures are ignored, including a timeout when it accepts a batch.

    While it delivers, it holds the receipts of unconfirmed batches like any output. When it is skipped they are
    released: otherwise the source would be read again for all the other stores, too.
    """

    def __init__(self, outlet: Outlet, host: Host, name: str) -> None:
        self._outlet = outlet
        self._host = host
        self._name = name
        self._owed: set[Callable[[], None]] = set()
        self._is_stalled = False

    async def process(self, batch: EventBatch) -> None:
        """Pass a batch to the store.

        Raises:
            Stalled: the store did not accept it in time; at once where it did not accept the batch before.
            Exception: the store's own.
        """
        own = self._wrap_receipt(batch.receipt)
        batch.receipt = own
        seconds = 0.0 if self._is_stalled else PATIENCE
        try:
            async with self._host.clock.timeout(seconds) as limit:
                await self._outlet.process(batch)
        except TimeoutError as error:
            if not limit.expired():
                raise
            self._release_receipts()
            self._is_stalled = True
            raise Stalled(f"it takes no events, and has had {PATIENCE:.0f} seconds") from error
        finally:
            if own is not None:
                own.release()
        if self._is_stalled:
            self._is_stalled = False
            self._host.log.info("%s takes events again", self._name)

    def _wrap_receipt(self, receipt: Receipt | None) -> Receipt | None:
        """Return a receipt for the store alone; when it settles, the hold on the input's is released."""
        if receipt is None:
            return None
        receipt.hold()

        def release() -> None:
            if release in self._owed:
                self._owed.remove(release)
                receipt.release()

        self._owed.add(release)
        return Receipt(release, is_awaited=receipt.is_awaited)

    def _release_receipts(self) -> None:
        for release in list(self._owed):
            release()
