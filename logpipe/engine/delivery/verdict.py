"""What an attempt has shown: the chunk is delivered, or tried again later, or this was the last time."""

from __future__ import annotations

from logpipe.engine.buffering.chunking import Staging
from logpipe.engine.delivery.sending import Sending
from logpipe.engine.logging.traces import trace_of
from logpipe.errors import RetryLater
from logpipe.plugin import Host, StoredChunk


class Verdict:
    """Counts and says how the attempts of one output end, and keeps their chunks or lets them go."""

    def __init__(self, host: Host, staging: Staging, sending: Sending, slow_flush_seconds: float) -> None:
        self._host = host
        self._staging = staging
        self._sending = sending
        self._slow_flush_seconds = slow_flush_seconds
        self.written = host.counter("write_count", "Chunks delivered.")
        self._retried = host.counter("retry_count", "Attempts that failed.")
        self._rolled_back = host.counter("rollback_count", "Chunks put back into the queue.")
        self._slow = host.counter("slow_flush_count", "Chunks whose delivery took over slow_flush_log_threshold.")
        self._milliseconds = host.counter("flush_time_count", "Milliseconds that the delivery of chunks took.")
        self.secondary_written = host.counter("write_secondary_count", "Chunks delivered by <secondary>.")
        self.flushed = host.counter("flushed_records", "Events of chunks that were dealt with, but for those given up.")

    async def delivered(self, chunk: StoredChunk, began: float, *, by_secondary: bool) -> None:
        """Forget a chunk."""
        log = self._host.log
        self.written.add(1)
        self.flushed.add(len(chunk) - self._sending.forget(chunk))
        if by_secondary:
            self.secondary_written.add(1)
        if self._staging.queue.delivered(chunk, by_secondary=by_secondary):
            log.warning("retry succeeded%s. chunk_id=%r", " by secondary" if by_secondary else "", chunk.id)
        elapsed, most = self._host.clock.monotonic() - began, self._slow_flush_seconds
        self._milliseconds.add(int(elapsed * 1000))
        if elapsed > most:
            self._slow.add(1)
            message = "buffer flush took longer time than slow_flush_log_threshold: elapsed_time=%.1f "
            message += "slow_flush_log_threshold=%.1f plugin_id=%r"
            log.warning(message, elapsed, most, self._host.plugin_id)
        await self._staging.purge(chunk)

    def failed(self, chunk: StoredChunk, error: Exception, began: float, *, by_secondary: bool) -> int | None:
        """Give a chunk back; after its last retry it is not, and the number of retries is returned."""
        now, queue, log = self._host.clock.monotonic(), self._staging.queue, self._host.log
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
        self._staging.give_back(chunk)
