"""Retries one destination after others have accepted their part of a batch: copy's stores, rewritten tags."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from operator import methodcaller
from typing import Final

from logpipe.errors import BufferFull
from logpipe.event import EventBatch
from logpipe.plugin import Host

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 10.0


class RetryingSender:
    """Sends batches until they are accepted, so that the destinations before do not get them twice.

    After an exception the input would read its source again, and every destination would get the whole batch again.
    """

    def __init__(self, send: Callable[[EventBatch], Awaitable[None]], host: Host, name: str) -> None:
        self._send = send
        self._host = host
        self._name = name
        self._waiting = 0

    async def send(self, batch: EventBatch, copied: Callable[[EventBatch], EventBatch] = methodcaller("copy")) -> None:
        """Send copies of a batch until one is accepted, with growing pauses.

        Raises:
            Exception: it was refused, and either has no receipt, so that its source does not send it again, or came
                through `@ERROR`, whose sender needs the error.
        """
        pause = FIRST_PAUSE
        is_waiting = False
        try:
            while True:
                try:
                    await self._send(copied(batch))
                except Exception as error:
                    if not _waits(batch, error):
                        raise
                    if not is_waiting:
                        is_waiting = True
                        self._begin_waiting(error)
                else:
                    break
                await self._host.clock.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
        finally:
            self._waiting -= is_waiting
        if is_waiting and not self._waiting:
            self._host.log.info("%s takes events again", self._name)

    def _begin_waiting(self, error: Exception) -> None:
        self._waiting += 1
        if self._waiting == 1:
            self._host.log.warning(
                "%s did not take events that others have taken, and is sent them until it does; their input waits: %r",
                self._name,
                error,
            )


def _waits(batch: EventBatch, error: Exception) -> bool:
    if batch.receipt is None:
        return False
    return isinstance(error, BufferFull) or not batch.receipt.came_through_error
