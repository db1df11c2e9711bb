"""An output behind its buffer: what comes goes into chunks (chunking.py), and these are delivered by tasks of its own.

attempts.py         when chunks are queued and tried, and one attempt, by way of sending.py
outcome.py          delivered, or tried again, or no more: `<secondary>`, `@ERROR`, dead letters
"""

from __future__ import annotations

from typing import Any, Final

from logpipe.engine.accounting import EMITS, UNNAMED, Edge
from logpipe.engine.buffering.chunking import Staging
from logpipe.engine.delivery.attempts import Attempts, FlushTimer
from logpipe.engine.delivery.outcome import Outcome
from logpipe.engine.delivery.sending import GivingUp, Sending
from logpipe.event import EventBatch
from logpipe.plugin import Buffer, ChunkKey, Host, Output

SLOW_FLUSH_SECONDS: Final = 20.0
"""fluentd's slow_flush_log_threshold."""


class BufferedOutlet:
    """An output behind its buffer: takes batches in, delivers chunks from its own tasks."""

    def __init__(
        self,
        output: Output[Any],
        buffer: Buffer[Any],
        staging: Staging,
        giving_up: GivingUp,
        secondary: Output[Any] | None,
        *,
        host: Host,
        slow_flush_seconds: float,
    ) -> None:
        self.output = output
        self.buffer = buffer
        self.staging = staging
        self.secondary = secondary
        self.host = host
        self.giving_up = giving_up
        sending = Sending(host, buffer, staging, giving_up, secondary)
        self._attempts = Attempts(output, Outcome(host, staging, sending, giving_up, slow_flush_seconds))
        self._timer = FlushTimer(staging, host)
        self._last_tries: LastTries | None = None
        """What was tried while draining; None before that."""
        self._emits = host.counter(*EMITS)

    @property
    def is_idle(self) -> bool:
        """Whether the buffer is empty, and rid of what was delivered."""
        return self.staging.is_empty and not self._attempts.going_on

    async def process(self, batch: EventBatch, edge: Edge = UNNAMED) -> None:
        """Take a batch into the buffer."""
        edge.taken += len(batch.times)
        self._emits.value += 1
        await self.staging.process(batch)

    async def start(self) -> None:
        """Start the buffer, queue what a previous run left, and begin to deliver."""
        await self.buffer.start()
        self.staging.resume(await self.buffer.resume())
        if self.staging.options.mode != "immediate":
            self.host.start_task(self._timer.run(), name="flush")
        for number in range(self.staging.options.flush_thread_count):
            self.host.start_task(self._deliver(), name=f"write-{number}")

    async def _deliver(self) -> None:
        while self._last_tries is None:
            if (chunk := self.staging.take()) is None:
                await self._timer.wait_until_due()
            elif not await self._attempts.make(chunk):
                await self.host.clock.sleep(0)  # lets others run, where neither the output nor the waits would

    async def drain(self) -> None:
        """Try every chunk once more, if the settings say so; called again where events came since, and with a deadline.

        A chunk that fails stays owed: its receipts do not settle, or it stays on disk; what has its key is not tried,
        and nothing more is after two failures in a row, for then it is the peer. What is being written is waited for
        in any case: to break it off would deliver it twice.
        """
        if self._last_tries is None:
            self._last_tries = LastTries(self.staging, self._attempts)
        self.staging.queue.changed.set()
        await self.staging.settled()
        wanted = self.staging.options.flush_at_shutdown
        if not self.buffer.persistent if wanted is None else wanted:
            self.staging.enqueue_all()
            await self._last_tries.go_on()
        await self._attempts.ended()

    async def stop(self) -> None:
        """Stop the buffer; the output is stopped by the graph."""
        await self.buffer.stop()
        if self.staging.is_empty:
            return
        if self.buffer.persistent:
            uncounted = len(self.staging.uncounted)
            message = "stopping with %d bytes not delivered: %d events%s stay in %s, for the next start"
            more = f", and {uncounted} chunks of which nobody has counted the events," if uncounted else ""
            self.host.log.info(message, self.staging.size, self.staging.waiting, more, self.buffer.place)
        else:
            message = "stopping with %d bytes not delivered: inputs that can will read them again"
            self.host.log.warning(message, self.staging.size)


class LastTries:
    """What the attempts of a drain have shown, however often it goes on."""

    def __init__(self, staging: Staging, attempts: Attempts) -> None:
        self._staging = staging
        self._attempts = attempts
        self._undelivered: set[ChunkKey] = set()
        self._failures = 0
        self._most: int | None = None

    async def go_on(self) -> None:
        """Try a chunk of each key until it fails, and none when so many in a row have."""
        most = self._most = self._most or (1 if self._staging.queue.is_peer_suspected else 2)
        while self._failures < most and (chunk := self._staging.take_any(without=self._undelivered)) is not None:
            if await self._attempts.make(chunk):
                self._failures = 0
            else:
                self._failures += 1
                self._undelivered.add(chunk.key)
