"""What becomes of events that no output takes: `@ERROR`, files of dead letters, or nothing where the settings say so.

Two ways lead here. Events that are *refused* can never be delivered: each goes where errors of stages go, to `@ERROR`
where there is one. A chunk that is *given up* has failed for too long, through no fault of its events: it becomes a
file of dead letters, as fluentd makes a backup of it. What an output has encoded is no event any more, so that it goes
to that file either way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from logpipe.engine.dead_letters.files import DeadLetterFiles
from logpipe.engine.dead_letters.letters import Culprit
from logpipe.plugin import Chunk, Host


class GivingUp:
    """The end of one output's events that are not delivered.

    Args:
        host: the output's.
        files: take the dead letters.
        culprit: how they name the output.
        has_label: tells whether its errors go to `@ERROR`.
        settle_errors: waits until the errors of the output, and of its `<secondary>`, are there or in a file.
        is_thrown_away: whether nothing is kept, `disable_chunk_backup`.
    """

    def __init__(
        self,
        host: Host,
        files: DeadLetterFiles,
        culprit: Culprit,
        *,
        has_label: Callable[[], bool],
        settle_errors: Callable[[], Awaitable[None]],
        is_thrown_away: bool,
    ) -> None:
        self.saved = host.counter("given_up_records", "Events saved as dead letters: no output takes them.")
        self.thrown_away = host.counter("thrown_away_records", "Events given up where disable_chunk_backup is true.")
        self._host = host
        self._files = files
        self._culprit = culprit
        self._has_label = has_label
        self.settle_errors = settle_errors
        self._is_thrown_away = is_thrown_away

    async def refuse(self, part: Chunk, reason: Exception, *, encoded: bool, is_divided: bool) -> int:
        """Let go of events that can never be delivered; returns how many of them are not errors of the output."""
        # without @ERROR the events of a whole chunk go to a file of their own, and single ones to one together
        is_single = is_divided and len(part) == 1 and not self._is_thrown_away
        if encoded or not (self._has_label() or is_single):
            return await self.save(part, reason, encoded=encoded)
        for batch in part.batches():
            for time, record in batch.events():
                self._host.emit_error(batch.tag, time, record, reason, receipt=batch.receipt)
        return 0

    async def save(self, chunk: Chunk, error: Exception, *, encoded: bool) -> int:
        """Make dead letters of a chunk, or throw it away where the settings say so; returns how many events it had."""
        count = len(chunk)
        if self._is_thrown_away:
            self.thrown_away.add(count)
            self._host.log.error("disable_chunk_backup is true: chunk %s with %d records is lost", chunk.id, count)
        elif count:
            await self._files.save(chunk, self._host, error, culprit=self._culprit, encoded=encoded)
            self.saved.add(count)
        return count
