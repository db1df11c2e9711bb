"""Delivers queued chunks: flush timing, concurrent writes, the retry schedule, secondary, dead letters, drain.

A chunk comes from chunking.py and ends delivered, written to `<secondary>`, or saved as dead letters.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from logpipe.engine.chunking import Staging
from logpipe.engine.dead_letter_files import DeadLetterFiles
from logpipe.engine.letters import Culprit
from logpipe.engine.poison import DATA_ERRORS, Part, PoisonHunt
from logpipe.engine.retry import Retry
from logpipe.engine.router import EMITS
from logpipe.errors import PermanentError, RetryLater
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
        dead_letters: DeadLetterFiles,
        culprit: Culprit,
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
        self._dead_letters = dead_letters
        self._culprit = culprit
        self._hunts: dict[str, PoisonHunt] = {}
        self._bad_data = ""
        self._slow_flush_seconds = slow_flush_seconds
        self._settle_errors = settle_errors
        self._retry: Retry | None = None
        self._draining = False
        self._idle = asyncio.Event()
        self._writing = 0
        self.emits = host.counter(*EMITS)
        self.written = host.counter("write_count", "Chunks delivered.")
        self.retried = host.counter("retry_count", "Attempts that failed.")
        self.rolled_back = host.counter("rollback_count", "Chunks put back into the queue.")
        self.slow = host.counter("slow_flush_count", "Chunks whose delivery took over slow_flush_log_threshold.")
        self.milliseconds = host.counter("flush_time_count", "Milliseconds that the delivery of chunks took.")
        self.secondary_written = host.counter("write_secondary_count", "Chunks delivered by <secondary>.")
        self.given_up = host.counter("given_up_records", "Events saved as dead letters: no output takes them.")
        self.thrown_away = host.counter("thrown_away_records", "Events given up where disable_chunk_backup is true.")
        self.flushed = host.counter("flushed_records", "Events of chunks that were dealt with, but for those given up.")
        self.damaged = host.counter("damaged_records", "Events of chunks whose files were damaged or taken away.")

    @property
    def retry(self) -> Retry | None:
        """How the failing output is tried again; None while nothing fails."""
        return self._retry

    async def process(self, batch: EventBatch) -> None:
        """Take a batch into the buffer."""
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
            await self.staging.ready.wait()
            if self._retry is not None:
                # a wait of 0 still lets others run, where neither the output nor the clock would
                wait = max(0.0, self._retry.next_time - self._clock.monotonic())
                await self._clock.sleep(wait)
                if wait > 0:
                    continue
            if not self._draining and (chunk := self.staging.take()) is not None:
                await self._attempt(chunk)

    async def _attempt(self, chunk: StoredChunk) -> bool:
        """Try a chunk once; returns whether it is dealt with. It is back in the queue if it is not."""
        began = self._clock.monotonic()
        use_secondary = self._retry is not None and self._retry.wants_secondary(began)
        output = self.secondary if use_secondary and self.secondary is not None else self.output
        self._writing += 1
        self._idle.clear()
        try:
            await self._prepare(chunk)
            if len(chunk):
                await self._send(output, chunk)
                await self._settle_errors()
        except PermanentError as refusal:
            await self._give_up_at_once(chunk, refusal)
        except BaseException as raised:  # whatever the output raises follows the retry settings
            error = failure_of(raised)
            if error is None:
                self._give_back(chunk)
                raise
            return await self._failed(chunk, error, by_secondary=output is self.secondary)
        else:
            if len(chunk):
                await self._succeeded(chunk, began, by_secondary=output is self.secondary)
            else:  # a damaged file with nothing left in it, or a write that failed
                await self.staging.purge(chunk)
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
        self.staging.resumed.add(max(0, found))
        self.damaged.add(max(0, -found))

    async def _send(self, output: Output[Any], chunk: StoredChunk) -> None:
        """Write a chunk, or what is left of it; one that its output refuses is divided until the culprits are found."""
        hunt = self._hunts.get(chunk.id)
        if hunt is None:
            try:
                await self._write(output, chunk, encoded=chunk.encoded)
            except PermanentError as error:
                if self.secondary is not None or not _is_divisible(output, chunk):
                    raise
                hunt = self._hunt(chunk, error)
            except DATA_ERRORS as error:
                if self._bad_data != chunk.id or not _is_divisible(output, chunk):
                    self._bad_data = chunk.id
                    raise
                hunt = self._hunt(chunk, error)
            else:
                return
        await hunt.go_on(lambda part: self._write(output, part, encoded=chunk.encoded))

    def _hunt(self, chunk: StoredChunk, error: Exception) -> PoisonHunt:
        self._log.warning(
            "chunk %s with %d records is refused: it is divided to find the records to blame. error_class=%s error=%r",
            chunk.id,
            len(chunk),
            type(error).__name__,
            str(error),
        )

        async def refuse(part: Part, reason: Exception) -> None:
            if len(part) > 1 or chunk.encoded:
                await self._save(part, reason, encoded=chunk.encoded)
                hunt.saved += len(part)
                return
            for batch in part.batches():
                for time, record in batch.events():
                    self.host.emit_error(batch.tag, time, record, reason, receipt=batch.receipt)

        hunt = self._hunts[chunk.id] = PoisonHunt(chunk, error, refuse, encoded=chunk.encoded)
        return hunt

    async def _write(self, output: Output[Any], chunk: Chunk, *, encoded: bool) -> None:
        if encoded and output.encode is None:
            raise PermanentError(f"{output.types[0]} cannot write what was encoded for another output")
        if not output.delayed_commit:
            await output.write(chunk)
            return
        seconds = float(self._options.delayed_commit_timeout)
        try:
            async with asyncio.timeout(seconds) as limit:
                await output.write(chunk)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise TimeoutError(
                f"timeout to commit: not confirmed within delayed_commit_timeout ({seconds:g}s)"
            ) from error

    async def _succeeded(self, chunk: StoredChunk, began: float, *, by_secondary: bool) -> None:
        self.written.add(1)
        hunt = self._hunts.pop(chunk.id, None)
        self.flushed.add(len(chunk) - (hunt.saved if hunt is not None else 0))
        if by_secondary:
            self.secondary_written.add(1)
        if self._retry is not None:
            self._log.warning("retry succeeded%s. chunk_id=%r", " by secondary" if by_secondary else "", chunk.id)
            self._retry = None
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

    async def _failed(self, chunk: StoredChunk, error: Exception, *, by_secondary: bool) -> bool:
        now = self._clock.monotonic()
        self.retried.add(1)
        if self._retry is None:
            self._retry = Retry(self._options, now, has_secondary=self.secondary is not None)
        else:
            self._retry.failed(now)
        if self._retry.is_over(now):
            await self._give_up_queue(chunk, error)
            return True
        if isinstance(error, RetryLater) and error.after is not None:
            self._retry.postpone(now + error.after)
        self._log.warning(
            "failed to flush the buffer%s. retry_times=%d next_retry_seconds=%.1f chunk=%r error_class=%s error=%r",
            " with secondary output" if by_secondary else "",
            self._retry.steps,
            max(0.0, self._retry.next_time - now),
            chunk.id,
            type(error).__name__,
            str(error),
        )
        self._give_back(chunk)
        return False

    def _give_back(self, chunk: StoredChunk) -> None:
        self.rolled_back.add(1)
        self.staging.give_back(chunk)

    async def _give_up_at_once(self, chunk: StoredChunk, error: PermanentError) -> None:
        if self.secondary is not None:
            self._log.warning(
                "got unrecoverable error in primary. Skip retry and flush chunk to secondary error=%r", str(error)
            )
            try:
                await self._write(self.secondary, chunk, encoded=chunk.encoded)
            except BaseException as raised:  # dead letters take what nobody can
                second = failure_of(raised)
                if second is None:
                    raise
                self._log.exception("got an error in secondary for unrecoverable error", exc_info=second)
                await self._save_all(chunk, second)
            else:
                self.secondary_written.add(1)
                self.flushed.add(len(chunk))
        else:
            self._log.warning("got unrecoverable error in primary and no secondary error=%r", str(error))
            await self._save_all(chunk, error)
        await self.staging.purge(chunk)

    async def _give_up_queue(self, chunk: StoredChunk, error: Exception) -> None:
        """Clear the queue after the last retry, as fluentd does, but into dead letters."""
        chunks = [chunk]
        while (queued := self.staging.take()) is not None:
            chunks.append(queued)
        steps = self._retry.steps if self._retry is not None else 0
        self._retry = None
        self._log.error(
            "Hit limit for retries. dropping all chunks in the buffer queue. retry_times=%d records=%d error_class=%s "
            "error=%r",
            steps,
            sum(map(len, chunks)),
            type(error).__name__,
            str(error),
        )
        for each in chunks:
            with suppress(Exception):  # as much of it as can be read is saved
                await self._prepare(each)
            await self._save_all(each, error)
            await self.staging.purge(each)

    async def _save_all(self, chunk: StoredChunk, error: Exception) -> None:
        """Make dead letters of a chunk, or of what is left of it."""
        hunt = self._hunts.pop(chunk.id, None)
        rest: list[Chunk] = [chunk] if hunt is None else list(reversed(hunt.rest))
        for part in rest:
            await self._save(part, error, encoded=chunk.encoded)
        saved = sum(map(len, rest)) + (hunt.saved if hunt is not None else 0)
        self.flushed.add(len(chunk) - saved)

    async def _save(self, chunk: Chunk, error: Exception, *, encoded: bool) -> None:
        if self._options.disable_chunk_backup:
            self.thrown_away.add(len(chunk))
            self._log.error("disable_chunk_backup is true: chunk %s with %d records is lost", chunk.id, len(chunk))
            return
        await self._dead_letters.save(chunk, self.host, error, culprit=self._culprit, encoded=encoded)
        self.given_up.add(len(chunk))

    async def drain(self) -> None:
        """Try every chunk once more, if the settings say so; called after the last batch, with a deadline outside.

        A chunk that fails stays owed: its receipts do not settle, or it stays on disk. What is being written is waited
        for in any case: to break it off would deliver it twice.
        """
        wanted = self._options.flush_at_shutdown
        self._draining = True
        await self.staging.settled()
        if not self.buffer.persistent if wanted is None else wanted:
            self.staging.enqueue_all()
            while (chunk := self.staging.take()) is not None:
                if not await self._attempt(chunk):
                    break
        while self._writing:
            await self._idle.wait()

    async def stop(self) -> None:
        """Stop the buffer; the output is stopped by the graph."""
        await self.buffer.stop()
        if not self.staging.is_empty:
            self._log.log(
                logging.INFO if self.buffer.persistent else logging.WARNING,
                "stopping with %d bytes not delivered: %s",
                self.staging.size,
                "they are in the buffer files" if self.buffer.persistent else "inputs that can will read them again",
            )


def _is_divisible(output: Output[Any], chunk: StoredChunk) -> bool:
    return len(chunk) > 1 and not (chunk.encoded and output.encode is None)
