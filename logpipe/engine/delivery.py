"""Delivers queued chunks: flush timing, concurrent writes, the retry schedule, secondary, dead letters, drain.

A chunk comes from chunking.py and ends delivered, written to `<secondary>`, or saved as dead letters.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from typing import Any, Final

from logpipe.engine.chunking import Staging
from logpipe.engine.coming_through_error import coming_through_error
from logpipe.engine.counted import EMITS
from logpipe.engine.edges import UNNAMED, Edge
from logpipe.engine.giving_up import GivingUp
from logpipe.engine.poison import Part, refuse_each
from logpipe.engine.retry import Retry
from logpipe.engine.sending import Sending
from logpipe.engine.traces import trace_of
from logpipe.errors import PermanentError, RefusedRecords, RetryLater
from logpipe.event import EventBatch, Receipt
from logpipe.plugin import Buffer, Chunk, ChunkKey, Host, Output, StoredChunk
from logpipe.plugin.failures import failure_of

LONGEST_TICK: Final = 1.0
SHORTEST_TICK: Final = 0.05
SLOW_FLUSH_SECONDS: Final = 20.0
"""fluentd's slow_flush_log_threshold."""


class BufferedOutlet:
    """An output behind its buffer: takes batches in, delivers chunks from its own tasks."""

    def __init__(
        self,
        output: Output[Any],
        buffer: Buffer[Any],
        staging: Staging,
        *,
        host: Host,
        giving_up: GivingUp,
        settle_errors: Callable[[], Awaitable[None]],
        secondary: Output[Any] | None = None,
        slow_flush_seconds: float = SLOW_FLUSH_SECONDS,
    ) -> None:
        self.output = output
        self.buffer = buffer
        self.staging = staging
        self.secondary = secondary
        self.host = host
        self._clock = host.clock
        self._log: logging.Logger | logging.LoggerAdapter[Any] = host.log
        self._options = staging.options
        self.queue = staging.queue
        self._giving_up = giving_up
        self._sending = Sending(host, staging.options, giving_up, has_secondary=secondary is not None)
        self._slow_flush_seconds = slow_flush_seconds
        self._settle_errors = settle_errors
        self._wakes_at = math.inf
        self._draining = False
        self._undelivered: set[ChunkKey] = set()
        """The keys of which a chunk has failed while draining."""
        self._failures = 0
        """How many have in a row."""
        self._most_failures = 2
        """How many in a row mean that it is the peer, and no more is tried while draining."""
        self._idle = asyncio.Event()
        self._writing = 0
        self.emits = host.counter(*EMITS)
        self.written = host.counter("write_count", "Chunks delivered.")
        self.retried = host.counter("retry_count", "Attempts that failed.")
        self.rolled_back = host.counter("rollback_count", "Chunks put back into the queue.")
        self.slow = host.counter("slow_flush_count", "Chunks whose delivery took over slow_flush_log_threshold.")
        self.milliseconds = host.counter("flush_time_count", "Milliseconds that the delivery of chunks took.")
        self.secondary_written = host.counter("write_secondary_count", "Chunks delivered by <secondary>.")
        self.given_up = giving_up.saved
        self.thrown_away = giving_up.thrown_away
        self.flushed = host.counter("flushed_records", "Events of chunks that were dealt with, but for those given up.")
        self.damaged = host.counter("damaged_records", "Events of chunks whose files were damaged or taken away.")

    @property
    def retry(self) -> Retry | None:
        """How the failing output is tried again; None while nothing fails."""
        return self.queue.retry

    @property
    def is_idle(self) -> bool:
        """Whether the buffer is empty, and rid of what was delivered."""
        return self.staging.is_empty and not self._writing

    async def process(self, batch: EventBatch, edge: Edge = UNNAMED) -> None:
        """Take a batch into the buffer."""
        edge.taken += len(batch.times)
        self.emits.value += 1
        await self.staging.process(batch)

    async def process_payloads(self, key: ChunkKey, payloads: list[bytes], receipt: Receipt) -> None:
        """Take what this output has encoded before.

        Raises:
            PermanentError: it does not encode its events, so that it cannot read what is encoded.
        """
        await self.staging.process_payloads(key, payloads, receipt)

    async def start(self) -> None:
        """Start the buffer, queue what a previous run left, and begin to deliver."""
        await self.buffer.start()
        self.staging.resume(await self.buffer.resume())
        if self._options.mode != "immediate":
            self.host.start_task(self._tick(), name="flush")
        for number in range(self._options.flush_thread_count):
            self.host.start_task(self._deliver(), name=f"write-{number}")

    @property
    def _tick_seconds(self) -> float:
        # compat: output.rb wakes at an eleventh of the shortest period it must keep
        period = float(self._options.flush_interval)
        if self._options.timekey and "time" in self._options.chunk_keys:
            period = min(float(self._options.timekey), float(self._options.timekey_wait) or 1.0)
        return min(LONGEST_TICK, max(SHORTEST_TICK, period / 11))

    async def _tick(self) -> None:
        while True:
            self.staging.enqueue_due()
            await self._clock.sleep(self._tick_seconds)

    async def _deliver(self) -> None:
        while not self._draining:
            if (chunk := self.staging.take()) is None:
                await self._wait_until_due()
            elif not await self._attempt(chunk):
                await self._clock.sleep(0)  # lets others run, where neither the output nor the waits would

    async def _wait_until_due(self) -> None:
        """Wait until another chunk may be tried; one timer, whatever fails, wakes all who wait."""
        now = self._clock.monotonic()
        self.queue.changed.clear()
        if (seconds := self.queue.wait(now)) is not None and now + seconds < self._wakes_at:
            self._wakes_at = now + seconds
            self.host.start_task(self._wake(self._wakes_at), name="retry")
        await self.queue.changed.wait()

    async def _wake(self, moment: float) -> None:
        await self._clock.sleep(max(0.0, moment - self._clock.monotonic()))
        if self._wakes_at == moment:
            self._wakes_at = math.inf
        self.queue.changed.set()

    async def _attempt(self, chunk: StoredChunk) -> bool:
        """Try a chunk once; returns whether it is dealt with. It is back in the queue if it is not."""
        with coming_through_error() if chunk.key.came_through_error else nullcontext():
            return await self._try(chunk)

    async def _try(self, chunk: StoredChunk) -> bool:
        began = self._clock.monotonic()
        retry = self.queue.retry_of(chunk)
        use_secondary = retry is not None and retry.wants_secondary(began)
        output = self.secondary if use_secondary and self.secondary is not None else self.output
        self._writing += 1
        self._idle.clear()
        try:
            await self._prepare(chunk)
            if len(chunk):
                await self._sending.send(output, chunk)
                await self._settle_errors()
        except PermanentError as refusal:
            await self._refused(chunk, refusal)
        except BaseException as raised:  # whatever the output raises follows the retry settings
            error = failure_of(raised)
            if error is None:
                self._give_back(chunk)
                raise
            return await self._failed(chunk, error, began, by_secondary=output is self.secondary)
        else:
            if len(chunk):
                await self._succeeded(chunk, began, by_secondary=output is self.secondary)
            else:  # a damaged file with nothing left in it, or a write that failed
                await self._let_go(chunk)
        finally:
            self._writing -= 1
            if not self._writing:
                self._idle.set()
        return True

    async def _prepare(self, chunk: StoredChunk) -> None:
        with suppress(Exception):  # what the disk refuses is counted as that, by the buffer
            await chunk.sync()
        before = len(chunk)
        await self.buffer.prepare(chunk)
        found = len(chunk) - before  # a previous run's chunk may be counted only now
        self.staging.uncounted.discard(chunk.id)
        self.staging.resumed.add(max(0, found))
        self.damaged.add(max(0, -found))

    async def _succeeded(self, chunk: StoredChunk, began: float, *, by_secondary: bool) -> None:
        self.written.add(1)
        self.flushed.add(len(chunk) - self._sending.forget(chunk))
        if by_secondary:
            self.secondary_written.add(1)
        if self.queue.delivered(chunk, by_secondary=by_secondary):
            self._log.warning("retry succeeded%s. chunk_id=%r", " by secondary" if by_secondary else "", chunk.id)
        elapsed = self._clock.monotonic() - began
        self.milliseconds.add(int(elapsed * 1000))
        if elapsed > self._slow_flush_seconds:
            self.slow.add(1)
            self._log.warning(
                "buffer flush took longer time than slow_flush_log_threshold: elapsed_time=%.1f "
                "slow_flush_log_threshold=%.1f plugin_id=%r",
                elapsed,
                self._slow_flush_seconds,
                self.host.plugin_id,
            )
        await self.staging.purge(chunk)

    async def _failed(self, chunk: StoredChunk, error: Exception, began: float, *, by_secondary: bool) -> bool:
        now = self._clock.monotonic()
        self.retried.add(1)
        after = error.after if isinstance(error, RetryLater) else None
        retry = self.queue.failed(chunk, now, took=now - began, by_secondary=by_secondary, after=after)
        if retry.is_over(now):
            await self._give_up(chunk, error, retry.steps)
            return True
        self._log.warning(
            "failed to flush the buffer%s. retry_times=%d next_retry_seconds=%.1f chunk=%r error_class=%s error=%r",
            " with secondary output" if by_secondary else "",
            retry.steps,
            max(0.0, self.queue.next_attempt(chunk, now) - now),
            chunk.id,
            type(error).__name__,
            str(error),
            exc_info=trace_of(self._log, error),
        )
        self._give_back(chunk)
        return False

    def _give_back(self, chunk: StoredChunk) -> None:
        self.rolled_back.add(1)
        self.staging.give_back(chunk)

    async def _give_up(self, chunk: StoredChunk, error: Exception, steps: int) -> None:
        """Make dead letters of a chunk after its last retry; fluentd clears the whole queue, and keeps nothing."""
        self._log.error(
            "Hit limit for retries. giving up chunk %s, and none of the others in the buffer queue. retry_times=%d "
            "records=%d error_class=%s error=%r",
            chunk.id,
            steps,
            len(chunk),
            type(error).__name__,
            str(error),
            exc_info=trace_of(self._log, error),
        )
        with suppress(Exception):  # as much of it as can be read is saved
            await self._prepare(chunk)
        saved = sum(
            [await self._giving_up.save(part, error, encoded=chunk.encoded) for part in self._sending.rest(chunk)]
        )
        await self._dealt_with(chunk, saved)

    async def _refused(self, chunk: StoredChunk, error: PermanentError) -> None:
        """Let go of a chunk that is refused for good, or of those of its records that are."""
        saved = 0

        async def refuse(part: Chunk, reason: Exception) -> None:
            nonlocal saved
            is_divided = isinstance(error, RefusedRecords)
            saved += await self._refuse(part, reason, encoded=chunk.encoded, is_divided=is_divided)

        if isinstance(error, RefusedRecords):
            self.written.add(1)
            await refuse_each(Part.whole(chunk, encoded=chunk.encoded), error, refuse)
            self.queue.delivered(chunk, by_secondary=False)
        else:
            for part in self._sending.rest(chunk):
                await refuse(part, error)
        await self._settle_errors()
        await self._dealt_with(chunk, saved)

    async def _refuse(self, part: Chunk, error: Exception, *, encoded: bool, is_divided: bool) -> int:
        """Give what the output refuses to `<secondary>`, or let go of it; returns how many are dead letters."""
        if self.secondary is None:
            self._log.warning("got unrecoverable error in primary and no secondary error=%r", str(error))
            return await self._giving_up.refuse(part, error, encoded=encoded, is_divided=is_divided)
        self._log.warning(
            "got unrecoverable error in primary. Skip retry and flush chunk to secondary error=%r", str(error)
        )
        try:
            await self._sending.write(self.secondary, part, encoded=encoded)
        except BaseException as raised:  # dead letters take what nobody can
            second = failure_of(raised)
            if second is None:
                raise
            self._log.exception("got an error in secondary for unrecoverable error", exc_info=second)
            return await self._giving_up.refuse(part, second, encoded=encoded, is_divided=is_divided)
        self.secondary_written.add(1)
        return 0

    async def _dealt_with(self, chunk: StoredChunk, saved: int) -> None:
        """Forget a chunk of which so many events, beside those before, became dead letters."""
        self.flushed.add(len(chunk) - saved - self._sending.forget(chunk))
        await self._let_go(chunk)

    async def _let_go(self, chunk: StoredChunk) -> None:
        self.queue.gave_up(chunk, self._clock.monotonic())
        await self.staging.purge(chunk)

    async def drain(self) -> None:
        """Try every chunk once more, if the settings say so; called again where events came since, and with a deadline.

        A chunk that fails stays owed: its receipts do not settle, or it stays on disk; what has its key is not tried,
        and nothing more is after two failures in a row, for then it is the peer. What is being written is waited for
        in any case: to break it off would deliver it twice.
        """
        wanted = self._options.flush_at_shutdown
        if not self._draining and self.queue.is_peer_suspected:
            self._most_failures = 1
        self._draining = True
        self.queue.changed.set()
        await self.staging.settled()
        if not self.buffer.persistent if wanted is None else wanted:
            self.staging.enqueue_all()
            await self._try_each_key()
        while self._writing:
            await self._idle.wait()

    async def _try_each_key(self) -> None:
        while (
            self._failures < self._most_failures
            and (chunk := self.staging.take_any(without=self._undelivered)) is not None
        ):
            if await self._attempt(chunk):
                self._failures = 0
            else:
                self._failures += 1
                self._undelivered.add(chunk.key)

    async def stop(self) -> None:
        """Stop the buffer; the output is stopped by the graph."""
        await self.buffer.stop()
        if not self.staging.is_empty:
            if self.buffer.persistent:
                self._log.info(
                    "stopping with %d bytes not delivered: %d events stay in %s, for the next start",
                    self.staging.size,
                    self.staging.waiting,
                    self.buffer.place,
                )
            else:
                self._log.warning(
                    "stopping with %d bytes not delivered: inputs that can will read them again", self.staging.size
                )
