"""Sends events on until they are taken: nobody who sends plain messages sends them again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from logpipe import EventBatch, InputHost

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 10.0
"""Seconds between two attempts."""


class Delivery:
    """Emits batches; what is not taken is tried again until it is, or the worker stops.

    compat: in_syslog.rb, in_tcp.rb and in_udp.rb drop what an output refuses. Here nothing more is read meanwhile, so
    that peers of connections wait, and datagrams fill the kernel's buffer.
    """

    def __init__(self, host: InputHost) -> None:
        self._host = host
        self._quiet = asyncio.Event()
        self._lost = host.counter("lost_records", "Events that no output had taken when the worker stopped.")
        self.is_sending = False
        """Whether something is on its way to the outputs."""
        self.begun = asyncio.Event()
        """Set whenever it begins to be."""

    def quiesce(self) -> None:
        """Try no more what is refused from now on."""
        self._quiet.set()

    async def send(self, make: Callable[[bool], list[EventBatch]]) -> None:
        """Emit batches, one after the other.

        Args:
            make: makes them; with False again, for another attempt, without counting or saying anything twice.
        """
        batches = make(True)
        for number, batch in enumerate(batches):
            await self._send(batch, lambda number=number: make(False)[number])  # type: ignore[misc]

    async def _send(self, batch: EventBatch, make_again: Callable[[], EventBatch]) -> None:
        pause = FIRST_PAUSE
        count = len(batch)
        while True:
            self.is_sending = True
            self.begun.set()
            try:
                await self._host.emit(batch)
            except asyncio.CancelledError:
                self._lose(count, "the worker stops")
                raise
            except Exception as error:  # noqa: BLE001 - whatever an output says, the events are here
                if self._quiet.is_set():
                    self._lose(count, repr(error))
                    return
                self._host.log.warning("events were not taken, trying again in %g seconds: %r", pause, error)
            else:
                return
            finally:
                self.is_sending = False
            with suppress(TimeoutError):
                async with self._host.clock.timeout(pause):
                    await self._quiet.wait()
            pause = min(2 * pause, LONGEST_PAUSE)
            batch = make_again()

    def _lose(self, count: int, reason: str) -> None:
        self._lost.add(count)
        self._host.log.warning("%d events are lost, since no output has taken them: %s", count, reason)
