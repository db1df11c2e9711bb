"""What becomes of chunks that are not tried again: refused for good, or failed for too long."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from logpipe.engine.buffering.chunking import Staging
from logpipe.engine.delivery.giving_up import GivingUp
from logpipe.engine.delivery.sending import Sending
from logpipe.engine.delivery.verdict import Verdict
from logpipe.engine.logging.traces import trace_of
from logpipe.engine.poison import Part, refuse_each
from logpipe.errors import PermanentError, RefusedRecords
from logpipe.plugin import Chunk, Host, StoredChunk
from logpipe.plugin.failures import failure_of


@dataclass(slots=True)
class LastResort:
    """Gives the chunks of one output to `<secondary>`, to `@ERROR`, or to the dead letters."""

    host: Host
    staging: Staging
    sending: Sending
    verdict: Verdict
    giving_up: GivingUp

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
            self.verdict.written.add(1)
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
        self.verdict.secondary_written.add(1)
        return 0

    async def _dealt_with(self, chunk: StoredChunk, saved: int) -> None:
        """Forget a chunk of which so many events, beside those before, became dead letters."""
        self.verdict.flushed.add(len(chunk) - saved - self.sending.forget(chunk))
        await self.let_go(chunk)

    async def let_go(self, chunk: StoredChunk) -> None:
        """Forget a chunk of which nothing is left."""
        self.staging.queue.gave_up(chunk, self.host.clock.monotonic())
        await self.staging.purge(chunk)
