"""A `<store ignore_error>` that delivers without a buffer: it must not hold up the others, nor the input's position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from logpipe import EventBatch, Host, LogpipeError, Outlet, Receipt

PATIENCE: Final = 5.0
"""Seconds that such a store may take to accept a batch, until it is passed over."""


class Stalled(LogpipeError):  # noqa: N818 - it says what happened
    """A store takes no events now."""


class IgnoredStore:
    """An outlet whose failures are ignored, and that is one when it does not accept a batch in time.

    While it delivers, the receipts of what it has not confirmed are held as any output's are. From the moment that it
    is passed over, nobody waits for them: the source would be read again for all the other stores, too.
    """

    def __init__(self, outlet: Outlet, host: Host, name: str) -> None:
        self._outlet = outlet
        self._host = host
        self._name = name
        self._owed: set[Callable[[], None]] = set()
        self._is_stalled = False

    async def process(self, batch: EventBatch) -> None:
        """Have the store accept a batch.

        Raises:
            Stalled: it does not, within seconds; at once where it did not take the batch before.
            Exception: what the store raises.
        """
        own = self._lend(batch.receipt)
        batch.receipt = own
        seconds = 0.0 if self._is_stalled else PATIENCE
        try:
            async with self._host.clock.timeout(seconds) as limit:
                await self._outlet.process(batch)
        except TimeoutError as error:
            if not limit.expired():
                raise
            self._let_go()
            self._is_stalled = True
            raise Stalled(f"it takes no events, and has had {PATIENCE:.0f} seconds") from error
        finally:
            if own is not None:
                own.release()
        if self._is_stalled:
            self._is_stalled = False
            self._host.log.info("%s takes events again", self._name)

    def _lend(self, receipt: Receipt | None) -> Receipt | None:
        """Return a receipt for the store alone, which settles into the input's."""
        if receipt is None:
            return None
        receipt.hold()

        def release() -> None:
            if release in self._owed:
                self._owed.remove(release)
                receipt.release()

        self._owed.add(release)
        return Receipt(release)

    def _let_go(self) -> None:
        for release in list(self._owed):
            release()
