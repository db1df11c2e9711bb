"""One attempt's way to an output: whole, or in parts where the output has refused the whole."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from logpipe.engine.buffering.chunking import Staging
from logpipe.engine.dead_letters.files import DeadLetterFiles
from logpipe.engine.dead_letters.letters import Culprit
from logpipe.engine.poison import DATA_ERRORS, Part, PoisonHunt
from logpipe.errors import PermanentError, RefusedRecords
from logpipe.plugin import Buffer, Chunk, Host, Output, StoredChunk


class Sending:
    """Writes the chunks of one output, and knows what is left of those that are written in parts.

    Args:
        host: the output's.
        buffer: makes chunks ready.
        staging: where they come from.
        giving_up: takes what is refused.
        secondary: the `<secondary>`, to which refused chunks go and are not divided.
    """

    def __init__(
        self, host: Host, buffer: Buffer[Any], staging: Staging, giving_up: GivingUp, secondary: Output[Any] | None
    ) -> None:
        self.secondary = secondary
        self._clock = host.clock
        self._log: logging.Logger | logging.LoggerAdapter[Any] = host.log
        self._buffer = buffer
        self._staging = staging
        self._giving_up = giving_up
        self._damaged = host.counter("damaged_records", "Events of chunks whose files were damaged or taken away.")
        self._hunts: dict[str, PoisonHunt] = {}
        self._bad_data = ""

    async def prepare(self, chunk: StoredChunk) -> None:
        """Make a chunk ready to be read."""
        with suppress(Exception):  # what the disk refuses is counted as that, by the buffer
            await chunk.sync()
        before = len(chunk)
        await self._buffer.prepare(chunk)
        found = len(chunk) - before  # a previous run's chunk may be counted only now
        self._staging.uncounted.discard(chunk.id)
        self._staging.resumed.add(max(0, found))
        self._damaged.add(max(0, -found))

    async def send(self, output: Output[Any], chunk: StoredChunk) -> None:
        """Write a chunk, or what is left of it; one that its output refuses is divided until the culprits are found.

        Raises:
            PermanentError: all of it is refused.
            RefusedRecords: these events are, and all others are delivered.
            Exception: it is to be tried again.
        """
        hunt = self._hunts.get(chunk.id)
        if hunt is None:
            try:
                await self.write(output, chunk, encoded=chunk.encoded)
            except RefusedRecords:
                raise
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
        await hunt.go_on(lambda part: self.write(output, part, encoded=chunk.encoded))

    async def write(self, output: Output[Any], chunk: Chunk, *, encoded: bool) -> None:
        """Have an output write a chunk or a part of one, within `delayed_commit_timeout` where it confirms later."""
        if encoded and output.encode is None and not output.takes_any_chunk:
            raise PermanentError(f"{output.types[0]} cannot write what was encoded for another output")
        if not output.delayed_commit:
            await output.write(chunk)
            return
        seconds = float(self._staging.options.delayed_commit_timeout)
        try:
            async with self._clock.timeout(seconds) as limit:
                await output.write(chunk)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise TimeoutError(
                f"timeout to commit: not confirmed within delayed_commit_timeout ({seconds:g}s)"
            ) from error

    def forget(self, chunk: Chunk) -> int:
        """Forget a chunk that is dealt with; returns how many of its events are dead letters already."""
        hunt = self._hunts.pop(chunk.id, None)
        return 0 if hunt is None else hunt.saved

    def rest(self, chunk: StoredChunk) -> list[Chunk]:
        """Return what of a chunk is not delivered, oldest first, as far as the output has said."""
        hunt = self._hunts.get(chunk.id)
        if hunt is None and chunk.progress is None:
            return [chunk]
        try:
            parts = [Part.whole(chunk, encoded=chunk.encoded)] if hunt is None else list(reversed(hunt.rest))
            return [rest for part in parts if len(rest := part.rest())]
        except Exception:  # noqa: BLE001 - it cannot be read now: whoever saves it tries again
            return [chunk]

    def _hunt(self, chunk: StoredChunk, error: Exception) -> PoisonHunt:
        self._log.warning(
            "chunk %s with %d records is refused: it is divided to find the records to blame. error_class=%s error=%r",
            chunk.id,
            len(chunk),
            type(error).__name__,
            str(error),
        )

        async def refuse(part: Part, reason: Exception) -> None:
            hunt.saved += await self._giving_up.refuse(part, reason, encoded=chunk.encoded, is_divided=True)

        hunt = self._hunts[chunk.id] = PoisonHunt(chunk, error, refuse, encoded=chunk.encoded)
        return hunt


def _is_divisible(output: Output[Any], chunk: StoredChunk) -> bool:
    return len(chunk) > 1 and not (chunk.encoded and output.encode is None)


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
