"""Events that a stage could not handle: to `<label @ERROR>`, or to the log and a file where there is none.

Semantics: fluentd's root_agent.rb, with one cure: an event goes to `@ERROR` once. One that has come through there and
fails again, wherever that is, goes to the log and a file instead of going round for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter as Tally
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, NamedTuple

import orjson

from logpipe.engine.accounting import UNNAMED, Edge, comes_through_error, coming_through_error
from logpipe.engine.dead_letters.files import DeadLetterFiles
from logpipe.engine.dead_letters.letters import Culprit, Letter, encode
from logpipe.engine.logging.repeats import trace_of
from logpipe.engine.logging.setup import OWN_TAGS, no_events
from logpipe.engine.poison import DATA_ERRORS
from logpipe.engine.routing.router import Router
from logpipe.errors import PermanentError
from logpipe.event import EventBatch, Receipt, Record, Time
from logpipe.metrics import Counter
from logpipe.plugin import Clock, Host
from logpipe.plugin.failures import failure_of

MOST_WAITING: Final = 10_000
MOST_WAITING_BYTES: Final = 64 << 20
"""Of lines for files; whichever is reached first."""
FIRST_BACK_OFF: Final = 0.1
LONGEST_BACK_OFF: Final = 10.0
LOOK_SECONDS: Final = 600.0
"""Between two looks for files that are too old."""


class _Letter(NamedTuple):
    """An event for `@ERROR`, or a line for the file of the plugin that could not handle it."""

    tag: str
    receipt: Receipt | None
    time: Time
    record: Record
    culprit: Host
    who: Culprit
    line: bytes = b""


class DeadLetterQueue:
    """The way to `@ERROR`, and to the files; a task of the graph empties both."""

    def __init__(self, log: logging.Logger | logging.LoggerAdapter[Any], clock: Clock, files: DeadLetterFiles) -> None:
        self.label: Router | None = None
        self.files = files
        self.edge: Edge = UNNAMED
        """The link to the label."""
        self.seen: Callable[[str, Time, Record, Exception], object] | None = None
        """Told of each event, for tests."""
        self.count = Counter("error_records", "Events that a stage could not handle.")
        self.rescued = Counter("rescued_records", "Events that `<label @ERROR>` took.")
        self.filed = Counter("dead_letter_records", "Events that were written to a file of dead letters.")
        self._log = log
        self._clock = clock
        self._for_label: deque[_Letter] = deque()
        self._for_files: deque[_Letter] = deque()
        self._arrived = asyncio.Event()
        self._moved = asyncio.Event()
        self.is_full = False
        """Whether who emits should wait for `room`."""
        self.waiting = 0
        """Events that are neither in `@ERROR` nor in a file yet."""
        self._bytes = 0
        self._owed: Tally[Host] = Tally()
        self._said: dict[tuple[str, str], int] = {}

    @property
    def has_label(self) -> bool:
        """Whether there is a `<label @ERROR>`."""
        return self.label is not None

    @property
    def unexplained(self) -> int:
        """How many events came here and are nowhere; below zero where there are more than came."""
        return self.count.value - self.rescued.value - self.filed.value - self.waiting

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
        again = in_error_label or comes_through_error(receipt)
        letter = _Letter(tag, receipt, time, record, culprit, who)
        if receipt is not None:
            receipt.hold()
        self.waiting += 1
        self._owed[culprit] += 1
        if self.label is None or again:
            self._add_for_file(letter, error)
        else:
            with _quietly(tag):
                self._say(error, tag, culprit)
            self._for_label.append(letter)
        self._look_for_room()
        self._arrived.set()

    def _look_for_room(self) -> None:
        self.is_full = self.waiting >= MOST_WAITING or self._bytes >= MOST_WAITING_BYTES

    def _add_for_file(self, letter: _Letter, error: Exception) -> None:
        tag, time, record, who = letter.tag, letter.time, letter.record, letter.who
        with _quietly(tag):
            self._dump(tag, time, record, error, letter.culprit)
        line = encode(Letter(self._clock.now(), who, str(error), type(error).__name__, tag, time, record))
        self._for_files.append(letter._replace(line=line, record={}))
        self._bytes += len(line)

    def reject(self, batch: EventBatch, error: Exception, *, culprit: Host) -> None:
        """Take every event of a batch."""
        for time, record in zip(batch.times, batch.records, strict=True):
            culprit.emit_error(batch.tag, time, record, error, receipt=batch.receipt)

    async def room(self) -> None:
        """Return when there are not too many waiting; at once to what comes from `@ERROR`, which makes the room."""
        while self.is_full and not comes_through_error():
            await self._next_move()

    async def settle(self, *culprits: Host) -> None:
        """Return when every event of these plugins, by default of all, was accepted by `@ERROR` or is in a file."""
        while any(map(self._owed.get, culprits)) if culprits else self._owed:
            await self._next_move()

    async def _next_move(self) -> None:
        self._moved.clear()
        await self._moved.wait()

    async def run(self) -> None:
        """Emit what arrives, in batches of one tag, and write to files what must not be emitted."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._work(self._for_label, self._emit), name="dead_letters.emit")
                group.create_task(self._work(self._for_files, self._file), name="dead_letters.file")
                if self.files.keeper.limits.age is not None:
                    group.create_task(self._look_for_old_ones(), name="dead_letters.age")
        finally:
            if self._owed:
                self._log.error(
                    "%d error events went neither to @ERROR nor to a file: they stay owed to their sources, and those "
                    "that no source brings again are in this log alone",
                    self.waiting,
                )

    async def _work(
        self, letters: deque[_Letter], deliver: Callable[[list[_Letter]], Coroutine[Any, Any, None]]
    ) -> None:
        while True:
            while not letters:
                self._arrived.clear()
                await self._arrived.wait()
            await deliver(_take(letters))
            await asyncio.sleep(0)  # a label whose stages never wait would leave nobody else a turn

    async def _look_for_old_ones(self) -> None:
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.files.keeper.look)

    def _arrived_safely(self, letters: list[_Letter]) -> None:
        self.waiting -= len(letters)
        for letter in letters:
            self._owed[letter.culprit] -= 1
            if not self._owed[letter.culprit]:
                del self._owed[letter.culprit]
        self._look_for_room()
        self._moved.set()

    async def _file(self, letters: list[_Letter]) -> None:
        """Write letters to their plugin's file; tries again for as long as that fails."""
        culprit = letters[0].culprit
        lines = [letter.line for letter in letters]
        back_off = FIRST_BACK_OFF
        while True:
            try:
                await culprit.in_thread(self.files.append, lines, culprit.plugin_id)
            except Exception as problem:  # noqa: BLE001 - whatever keeps them from being written, they must not be lost
                culprit.log.error(  # noqa: TRY400 - the errno says it all
                    "%d error events cannot be written to %s: %s. They are kept, and tried again in %.0f seconds: see "
                    "to it that the folder can be written to",
                    len(letters),
                    self.files.folder(culprit.plugin_id),
                    problem,
                    back_off,
                )
                await self._clock.sleep(back_off)
                back_off = min(LONGEST_BACK_OFF, back_off * 2)
            else:
                self.filed.add(len(letters))
                self._bytes -= sum(map(len, lines))
                self._arrived_safely(letters)
                _release(letters)
                return

    async def _emit(self, letters: list[_Letter]) -> None:
        """Emit letters into the label; tries again for as long as it refuses, but for those that it never takes."""
        back_off = FIRST_BACK_OFF
        parts = [letters]
        while parts:
            part = parts.pop()
            error = await self._try(part)
            if error is None:
                continue
            if not isinstance(error, (PermanentError, *DATA_ERRORS)):
                await self._clock.sleep(back_off)
                back_off = min(LONGEST_BACK_OFF, back_off * 2)
                parts.append(part)
            elif len(part) > 1:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
            else:
                self._add_for_file(part[0], error)
                self._look_for_room()
                self._arrived.set()

    async def _try(self, letters: list[_Letter]) -> Exception | None:
        """Emit letters into the label once; returns what it raised."""
        assert self.label is not None  # noqa: S101 - without a label nothing is queued
        # outputs hold this receipt, not the letters': it settles when @ERROR has let go of the events
        is_awaited = any(letter.receipt is not None and letter.receipt.is_awaited for letter in letters)
        receipt = Receipt(lambda: _release(letters), came_through_error=True, is_awaited=is_awaited)
        records = [dict(letter.record) for letter in letters]
        batch = EventBatch(letters[0].tag, [letter.time for letter in letters], records, receipt)
        try:
            with coming_through_error():
                self.edge.given += len(letters)
                await self.label.emit(batch, self.edge)
        except BaseException as raised:
            error = failure_of(raised)
            if error is None:
                raise
            return error
        self.rescued.add(len(letters))
        self._arrived_safely(letters)
        receipt.release()
        return None

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
                exc_info=trace_of(culprit.log, error),
            )

    def _dump(self, tag: str, time: Time, record: Record, error: Exception, culprit: Host) -> None:
        culprit.log.warning(
            "dump an error event: error_class=%s error=%r tag=%r time=%d.%09d record=%s",
            type(error).__name__,
            str(error),
            tag,
            *divmod(time, 1_000_000_000),
            _printable(record),
            exc_info=trace_of(culprit.log, error),
        )


def _take(letters: deque[_Letter]) -> list[_Letter]:
    """Return the letters that can be delivered with the first."""
    taken = [letters.popleft()]
    while letters and _go_together(taken[0], letters[0]):
        taken.append(letters.popleft())
    return taken


def _go_together(first: _Letter, other: _Letter) -> bool:
    return first.culprit is other.culprit if first.line else first.tag == other.tag


def _quietly(tag: str) -> AbstractContextManager[None]:
    """Keep what is logged about our own log's events from becoming events."""
    return no_events() if tag.startswith(OWN_TAGS) else nullcontext()


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
