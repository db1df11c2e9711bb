"""The way past a filter that holds events back: what is refused behind it is sent again from here.

Its input must not read again what such a filter has kept a part of, or the parts would be joined twice. So nothing but
a cancellation comes back from here, after which the source brings everything again, what is held included.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from typing import Final, Protocol

from logpipe.engine.accounting import PASSED, comes_through_error, coming_through_error
from logpipe.engine.routing.chain import Chain
from logpipe.errors import BufferFull, RetryLater
from logpipe.event import EventBatch
from logpipe.metrics import Counter
from logpipe.plugin import Host

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 10.0


class Route(Protocol):
    """The router that the filter stands in."""

    emitted: Counter
    refused: Counter
    passed: Counter
    is_error_label: bool

    async def run(self, chain: Chain, batch: EventBatch) -> None:
        """Run a batch through a chain."""


class Rejecting(Protocol):
    """Takes events that nobody sends again."""

    def reject(self, batch: EventBatch, error: Exception, *, culprit: Host) -> None:
        """Send every event of a batch to `@ERROR`, or to the log where there is none."""


class _Order:
    """The batches of one tag that are past the filter and not accepted yet."""

    def __init__(self) -> None:
        self._beside: set[asyncio.Future[None]] = set()
        """Those that have come since the last forward."""
        self._forward: asyncio.Future[None] | None = None

    def enter(self, done: asyncio.Future[None], *, is_alone: bool) -> list[asyncio.Future[None]]:
        """Add a batch, which is done with when its future is, and return those that it has to wait for."""
        ahead = [] if self._forward is None else [self._forward]
        if is_alone:
            ahead += self._beside
            self._beside, self._forward = set(), done
        else:
            self._beside.add(done)
        return ahead

    def leave(self, done: asyncio.Future[None]) -> bool:
        """Remove a batch; returns whether it was the last."""
        done.set_result(None)
        self._beside.discard(done)
        if self._forward is done:
            self._forward = None
        return not self._beside and self._forward is None


class Gate:
    """Where what a filter returns passes side by side, as elsewhere, and what it forwards goes alone, in order.

    Args:
        route: the router whose rules come next.
        host: the filter's.
        dead_letters: take what nobody sends again.
        compiled: returns the rules behind the filter for a tag.
        home: the router that the filter stands in, where that is another one.
    """

    def __init__(
        self,
        route: Route,
        host: Host,
        dead_letters: Rejecting,
        *,
        compiled: Callable[[str], Chain],
        home: Route | None = None,
    ) -> None:
        self._route = route
        self._home = home
        self._host = host
        self._dead_letters = dead_letters
        self._compiled = compiled
        self._passed = host.counter(*PASSED)
        self._orders: dict[str, _Order] = {}
        self._refused = 0
        """Batches that are sent again."""

    async def pass_on(self, batch: EventBatch, chain: Chain, *, is_own: bool) -> None:
        """Send on what the filter has returned, with its own receipt or the input's; returns when it is accepted."""
        assert chain.rest is not None  # noqa: S101 - a chain that ends here has one
        receipt = batch.receipt
        if batch.times:
            await self._send_in_order(chain.rest, batch, is_alone=False)
        if is_own and receipt is not None:
            receipt.release()

    async def forward(self, batch: EventBatch) -> None:
        """Send on what the filter has held back; returns when it is accepted."""
        receipt = batch.receipt
        self._passed.value += len(batch.times)
        if self._home is not None:
            self._home.passed.value += len(batch.times)
        with nullcontext() if receipt is None or not receipt.came_through_error else coming_through_error():
            if batch.times:
                await self._send_in_order(self._compiled(batch.tag), batch, is_alone=True)
        if receipt is not None:
            receipt.release()

    async def _send_in_order(self, rest: Chain, batch: EventBatch, *, is_alone: bool) -> None:
        tag = batch.tag
        order = self._orders.get(tag)
        if order is None:
            order = self._orders[tag] = _Order()
        done = asyncio.get_running_loop().create_future()
        try:
            ahead = order.enter(done, is_alone=is_alone)
            if ahead:
                # until then they are nobody's, as if they were refused and given again
                self._route.refused.value += len(batch.times)
                await asyncio.wait(ahead)
                self._route.emitted.value += len(batch.times)
            await self._send(rest, batch)
        finally:
            if order.leave(done):
                del self._orders[tag]

    async def _send(self, rest: Chain, batch: EventBatch) -> None:
        """Send copies of a batch until one is accepted, after longer and longer pauses."""
        pause = FIRST_PAUSE
        is_refused = False
        try:
            while True:
                try:
                    await self._route.run(rest, batch.copy())
                except Exception as error:  # noqa: BLE001 - whatever a stage raises, the events must not be lost
                    if self._is_final(batch, error):
                        self._give_up(batch, error)
                        return
                    if not is_refused:
                        is_refused = True
                        self._say_refused(error)
                else:
                    break
                await self._host.clock.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
                self._route.emitted.value += len(batch.times)
        finally:
            self._refused -= is_refused
        if is_refused and not self._refused:
            self._host.log.info("what got past this filter is accepted again")

    def _is_final(self, batch: EventBatch, error: Exception) -> bool:
        """Return whether events have come through `@ERROR` and fail again: as anywhere, they are dead letters then."""
        has_come = self._route.is_error_label or comes_through_error(batch.receipt)
        return has_come and not isinstance(error, (BufferFull, RetryLater, MemoryError))

    def _give_up(self, batch: EventBatch, error: Exception) -> None:
        self._passed.value -= len(batch.times)
        if self._home is None:
            self._route.emitted.value += len(batch.times)  # they are an error of a filter of this route
        else:
            self._home.passed.value -= len(batch.times)
        self._dead_letters.reject(batch, error, culprit=self._host)

    def _say_refused(self, error: Exception) -> None:
        self._refused += 1
        if self._refused == 1:
            self._host.log.warning(
                "events that got past this filter were not accepted, and are sent again until they are; meanwhile what "
                "brings such events waits: %r",
                error,
            )
