"""What an attempt has shown: the chunk is delivered, or tried again later, or no more, whatever becomes of it then."""

from __future__ import annotations

from contextlib import suppress

from logpipe.engine.buffering.chunking import Staging
from logpipe.engine.delivery.sending import GivingUp, Sending
from logpipe.engine.logging.repeats import trace_of
from logpipe.engine.poison import Part, refuse_each
from logpipe.errors import PermanentError, RefusedRecords, RetryLater
from logpipe.plugin import Chunk, Host, StoredChunk
from logpipe.plugin.failures import failure_of


class Outcome:
    """Counts and says how the attempts of one output end, and keeps their chunks or lets them go.

    Those that are not tried again go to `<secondary>`, to `@ERROR`, or to the dead letters.
    """

    def __init__(
        self, host: Host, staging: Staging, sending: Sending, giving_up: GivingUp, slow_flush_seconds: float
    ) -> None:
        self.host = host
        self.staging = staging
        self.sending = sending
        self.giving_up = giving_up
        self._slow_flush_seconds = slow_flush_seconds
        self._written = host.counter("write_count", "Chunks delivered.")
        self._retried = host.counter("retry_count", "Attempts that failed.")
        self._rolled_back = host.counter("rollback_count", "Chunks put back into the queue.")
        self._slow = host.counter("slow_flush_count", "Chunks whose delivery took over slow_flush_log_threshold.")
        self._milliseconds = host.counter("flush_time_count", "Milliseconds that the delivery of chunks took.")
        self._secondary_written = host.counter("write_secondary_count", "Chunks delivered by <secondary>.")
        self._flushed = host.counter(
            "flushed_records", "Events of chunks that were dealt with, but for those given up."
        )

    async def delivered(self, chunk: StoredChunk, began: float, *, by_secondary: bool) -> None:
        """Forget a chunk."""
        log = self.host.log
        self._written.add(1)
        self._flushed.add(len(chunk) - self.sending.forget(chunk))
        if by_secondary:
            self._secondary_written.add(1)
        if self.staging.queue.delivered(chunk, by_secondary=by_secondary):
            log.warning("retry succeeded%s. chunk_id=%r", " by secondary" if by_secondary else "", chunk.id)
        elapsed, most = self.host.clock.monotonic() - began, self._slow_flush_seconds
        self._milliseconds.add(int(elapsed * 1000))
        if elapsed > most:
            self._slow.add(1)
            message = "buffer flush took longer time than slow_flush_log_threshold: elapsed_time=%.1f "
            message += "slow_flush_log_threshold=%.1f plugin_id=%r"
            log.warning(message, elapsed, most, self.host.plugin_id)
        await self.staging.purge(chunk)

    def failed(self, chunk: StoredChunk, error: Exception, began: float, *, by_secondary: bool) -> int | None:
        """Give a chunk back; after its last retry it is not, and the number of retries is returned."""
        now, queue, log = self.host.clock.monotonic(), self.staging.queue, self.host.log
        self._retried.add(1)
        after = error.after if isinstance(error, RetryLater) else None
        retry = queue.failed(chunk, now, took=now - began, by_secondary=by_secondary, after=after)
        if retry.is_over(now):
            return retry.steps
        log.warning(
            "failed to flush the buffer%s. retry_times=%d next_retry_seconds=%.1f chunk=%r error_class=%s error=%r",
            " with secondary output" if by_secondary else "",
            retry.steps,
            max(0.0, queue.next_attempt(chunk, now) - now),
            chunk.id,
            type(error).__name__,
            str(error),
            exc_info=trace_of(log, error),
        )
        self.give_back(chunk)
        return None

    def give_back(self, chunk: StoredChunk) -> None:
        """Put a chunk back where it was."""
        self._rolled_back.add(1)
        self.staging.give_back(chunk)

    async def give_up(self, chunk: StoredChunk, error: Exception, steps: int) -> None:
        """Make dead letters of a chunk after its last retry; fluentd clears the whole queue, and keeps nothing."""
        self.host.log.error(
            "Hit limit for retries. giving up chunk %s, and none of the others in the buffer queue. retry_times=%d "
            "records=%d error_class=%s error=%r",
            chunk.id,
            steps,
            len(chunk),
            type(error).__name__,
            str(error),
            exc_info=trace_of(self.host.log, error),
        )
        with suppress(Exception):  # as much of it as can be read is saved
            await self.sending.prepare(chunk)
        parts = self.sending.rest(chunk)
        saved = sum([await self.giving_up.save(part, error, encoded=chunk.encoded) for part in parts])
        await self._dealt_with(chunk, saved)

    async def refused(self, chunk: StoredChunk, error: PermanentError) -> None:
        """Let go of a chunk that is refused for good, or of those of its records that are."""
        saved, is_divided = 0, isinstance(error, RefusedRecords)

        async def refuse(part: Chunk, reason: Exception) -> None:
            nonlocal saved
            saved += await self._refuse(part, reason, encoded=chunk.encoded, is_divided=is_divided)

        if isinstance(error, RefusedRecords):
            self._written.add(1)
            await refuse_each(Part.whole(chunk, encoded=chunk.encoded), error, refuse)
            self.staging.queue.delivered(chunk, by_secondary=False)
        else:
            for part in self.sending.rest(chunk):
                await refuse(part, error)
        await self.giving_up.settle_errors()
        await self._dealt_with(chunk, saved)

    async def _refuse(self, part: Chunk, error: Exception, *, encoded: bool, is_divided: bool) -> int:
        """Give what the output refuses to `<secondary>`, or let go of it; returns how many are dead letters."""
        log, secondary = self.host.log, self.sending.secondary
        if secondary is None:
            log.warning("got unrecoverable error in primary and no secondary error=%r", str(error))
            return await self.giving_up.refuse(part, error, encoded=encoded, is_divided=is_divided)
        log.warning("got unrecoverable error in primary. Skip retry and flush chunk to secondary error=%r", str(error))
        try:
            await self.sending.write(secondary, part, encoded=encoded)
        except BaseException as raised:  # dead letters take what nobody can
            second = failure_of(raised)
            if second is None:
                raise
            log.exception("got an error in secondary for unrecoverable error", exc_info=second)
            return await self.giving_up.refuse(part, second, encoded=encoded, is_divided=is_divided)
        self._secondary_written.add(1)
        return 0

    async def _dealt_with(self, chunk: StoredChunk, saved: int) -> None:
        """Forget a chunk of which so many events, beside those before, became dead letters."""
        self._flushed.add(len(chunk) - saved - self.sending.forget(chunk))
        await self.let_go(chunk)

    async def let_go(self, chunk: StoredChunk) -> None:
        """Forget a chunk of which nothing is left."""
        self.staging.queue.gave_up(chunk, self.host.clock.monotonic())
        await self.staging.purge(chunk)
