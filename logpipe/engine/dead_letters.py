"""Events that a stage could not handle: to `<label @ERROR>`, or to the log and a file where there is none.

Semantics: fluentd's root_agent.rb, with one cure: an error inside `<label @ERROR>` is dumped to the log instead of
going round for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Final, NamedTuple

import orjson

from logpipe.engine.dead_letter_files import DeadLetterFiles
from logpipe.engine.letters import Culprit, Letter, encode
from logpipe.engine.log import OWN_TAGS, no_events
from logpipe.engine.router import Router
from logpipe.event import EventBatch, Receipt, Record, Time
from logpipe.metrics import Counter
from logpipe.plugin import Clock, Host

MOST_WAITING: Final = 10_000
FIRST_BACK_OFF: Final = 0.1
LONGEST_BACK_OFF: Final = 10.0


class _Letter(NamedTuple):
    """An event for `@ERROR`, or a line for the file of the plugin that could not handle it."""

    tag: str
    receipt: Receipt | None
    time: Time = 0
    record: Record | None = None
    line: bytes = b""
    culprit: Host | None = None


class DeadLetterQueue:
    """The way to `@ERROR`; a task of the graph empties it."""

    def __init__(self, log: logging.Logger | logging.LoggerAdapter[Any], clock: Clock, files: DeadLetterFiles) -> None:
        self.label: Router | None = None
        self.files = files
        self.seen: Callable[[str, Time, Record, Exception], object] | None = None
        """Told of each event, for tests."""
        self.count = Counter("error_records", "Events that a stage could not handle.")
        self.rescued = Counter("rescued_records", "Events that `<label @ERROR>` took.")
        self.filed = Counter("dead_letter_records", "Events that were written to a file of dead letters.")
        self.only_logged = Counter("only_logged_records", "Events that are in the log alone: no file could be written.")
        self._log = log
        self._clock = clock
        self._letters: deque[_Letter] = deque()
        self._arrived = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._room = asyncio.Event()
        self._room.set()
        self._said: dict[tuple[str, str], int] = {}

    @property
    def has_label(self) -> bool:
        """Whether there is a `<label @ERROR>`."""
        return self.label is not None

    def add(
        self,
        tag: str,
        time: Time,
        record: Record,
        error: Exception,
        receipt: Receipt | None,
        *,
        culprit: Host,
        who: Culprit,
        in_error_label: bool = False,
    ) -> None:
        """Take one event; its receipt is held until `@ERROR` has accepted it, or a file holds it."""
        self.count.add(1)
        if self.seen is not None:
            self.seen(tag, time, record, error)
        with no_events() if tag.startswith(OWN_TAGS) else nullcontext():
            if self.label is None or in_error_label:
                self._dump(tag, time, record, error, culprit)
                line = encode(Letter(self._clock.now(), who, str(error), type(error).__name__, tag, time, record))
                letter = _Letter(tag, receipt, line=line, culprit=culprit)
            else:
                self._say(error, tag, culprit)
                letter = _Letter(tag, receipt, time, record)
        if receipt is not None:
            receipt.hold()
        self._letters.append(letter)
        self._arrived.set()
        self._settled.clear()
        if len(self._letters) >= MOST_WAITING:
            self._room.clear()

    def reject(self, batch: EventBatch, error: Exception, *, culprit: Host) -> None:
        """Take every event of a batch."""
        for time, record in zip(batch.times, batch.records, strict=True):
            culprit.emit_error(batch.tag, time, record, error, receipt=batch.receipt)

    async def room(self) -> None:
        """Return when there are not too many waiting."""
        if not self._room.is_set():
            await self._room.wait()

    async def settle(self) -> None:
        """Return when every event so far was accepted by `@ERROR`, or is in a file."""
        if not self._settled.is_set():
            await self._settled.wait()

    async def run(self) -> None:
        """Emit what arrives, in batches of one tag; tries again for as long as the label refuses."""
        while True:
            await self._arrived.wait()
            letters = self._take()
            if not letters:
                self._arrived.clear()
                self._settled.set()
                continue
            await (self._file(letters) if letters[0].line else self._emit(letters))
            if len(self._letters) < MOST_WAITING:
                self._room.set()

    def _take(self) -> list[_Letter]:
        letters: list[_Letter] = []
        while self._letters and (not letters or _go_together(letters[0], self._letters[0])):
            letters.append(self._letters.popleft())
        return letters

    async def _file(self, letters: list[_Letter]) -> None:
        culprit = letters[0].culprit
        assert culprit is not None  # noqa: S101 - `add` has set it
        lines = [letter.line for letter in letters]
        try:
            await culprit.in_thread(self.files.append, lines, culprit.plugin_id)
        except OSError as problem:
            if not self.only_logged.value:
                culprit.log.error(  # noqa: TRY400 - the errno says it all
                    "error events cannot be written to %s: %s. They are in this log alone until they can",
                    self.files.folder(culprit.plugin_id),
                    problem,
                )
            self.only_logged.add(len(letters))
        else:
            self.filed.add(len(letters))
        _release(letters)

    async def _emit(self, letters: list[_Letter]) -> None:
        assert self.label is not None  # noqa: S101 - without a label nothing is queued
        back_off = FIRST_BACK_OFF
        # outputs hold this receipt, not the letters': it settles when @ERROR has let go of the events
        receipt = Receipt(lambda: _release(letters))
        while True:
            records = [dict(letter.record or {}) for letter in letters]
            batch = EventBatch(letters[0].tag, [letter.time for letter in letters], records, receipt)
            try:
                await self.label.emit(batch)
            except Exception:  # noqa: BLE001 - a full or failing label is no reason to lose what failed already
                await self._clock.sleep(back_off)
                back_off = min(LONGEST_BACK_OFF, back_off * 2)
            else:
                self.rescued.add(len(letters))
                receipt.release()
                return

    def _say(self, error: Exception, tag: str, culprit: Host) -> None:
        """Log the 1st, 2nd, 4th, 8th … error of a kind: the events themselves are safe."""
        kind = (culprit.plugin_id, type(error).__name__)
        seen = self._said[kind] = self._said.get(kind, 0) + 1
        if seen & (seen - 1) == 0:
            culprit.log.warning(
                "send an error event to @ERROR: error_class=%s error=%r tag=%r count=%d",
                type(error).__name__,
                str(error),
                tag,
                seen,
            )

    def _dump(self, tag: str, time: Time, record: Record, error: Exception, culprit: Host) -> None:
        culprit.log.warning(
            "dump an error event: error_class=%s error=%r tag=%r time=%d.%09d record=%s",
            type(error).__name__,
            str(error),
            tag,
            *divmod(time, 1_000_000_000),
            _printable(record),
        )


def _go_together(first: _Letter, other: _Letter) -> bool:
    if first.line or other.line:
        return first.culprit is other.culprit
    return first.tag == other.tag


def _release(letters: list[_Letter]) -> None:
    for letter in letters:
        if letter.receipt is not None:
            letter.receipt.release()


def _printable(record: Record) -> str:
    try:
        return orjson.dumps(record, default=repr).decode()
    except TypeError:
        pass
    try:
        return ascii(record)
    except RecursionError:
        return f"{{{', '.join(map(ascii, record))}: …}}"
