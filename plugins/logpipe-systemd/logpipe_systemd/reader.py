"""Reads batches of entries in a thread of its own, since a journal may be used by one thread only."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from logpipe import Clock, Record, Time
from logpipe_systemd.entries import Shape
from logpipe_systemd.library import INVALIDATED, Journal, JournalError, file_problem

P = ParamSpec("P")
T = TypeVar("T")

MOST_ENTRIES: Final = 1000
MOST_BYTES: Final = 1 << 20
"""Of fields in a batch; the entry that reaches it is the last."""
_MOST_FILES: Final = 10_000
"""Files that are looked at to say which of them are not read."""
_BEING_MADE: Final = {0, errno.ENODATA, errno.ENOENT}


@dataclass(slots=True)
class Batch:
    """What was read at once."""

    times: list[Time] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    damaged: list[tuple[Time, Record, JournalError]] = field(default_factory=list)
    """Entries that could not be read whole: the time is 0 where there is none."""
    cursor: str = ""
    """Of its last entry; "" where there is none."""
    is_last: bool = False
    """Whether nothing was behind it."""


class Reader:
    """A journal, its folder and its place, as the event loop uses them.

    Args:
        path: the folder.
        matches: which entries are read.
        limit: bytes of an entry that are read.
        shape: makes an event's record of an entry's.
    """

    def __init__(self, path: str, matches: Sequence[bytes | None], limit: int, shape: Shape | None) -> None:
        self._path, self._matches, self._limit, self._shape = path, matches, limit, shape
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._journal: Journal | None = None
        self._folder: tuple[int, int] | None = None
        self._is_at_entry = False
        self._known: set[str] = set()
        self.cut = 0
        """Fields that were cut, or left out, because an entry was too long."""

    async def open(self, cursor: str, *, from_head: bool) -> bool:
        """Open the journal behind the entry of a cursor, or at an end of it; returns whether the cursor could be used.

        Raises:
            JournalError: it cannot be opened.
            LogpipeError: the library cannot be loaded.
        """
        return await self._call(self._open, cursor, from_head)

    async def read(self) -> Batch:
        """Return the next entries.

        Raises:
            JournalError: it cannot go on.
        """
        return await self._call(self._read)

    async def wait(self, seconds: float, wakes: asyncio.Event, clock: Clock) -> bool:
        """Wait until entries may have come, for so long at most; returns whether the journal must be opened anew.

        `wakes` ends it, and is set when it returns before its time.

        Raises:
            JournalError: it cannot be followed.
        """
        journal = self._journal
        if journal is None:
            return True
        loop = asyncio.get_running_loop()
        loop.add_reader(journal.descriptor, wakes.set)
        try:
            with suppress(TimeoutError):
                async with clock.timeout(seconds):
                    await wakes.wait()
        finally:
            loop.remove_reader(journal.descriptor)
        return await self._call(self._has_changed)

    async def unreadable(self) -> list[str]:
        """Return of each file that is not read, and was not looked at before, why it is not."""
        return await self._call(self._unreadable)

    async def close(self) -> None:
        """Close the journal; `open` opens it again."""
        await self._call(self._close)

    def end(self) -> None:
        """Close the journal for good, as soon as what the thread is at is done; safe to call twice."""
        with suppress(RuntimeError):  # it has ended
            self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        assert not kwargs  # noqa: S101 - a thread pool takes none
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    def _open(self, cursor: str, from_head: bool) -> bool:  # noqa: FBT001 - as it comes through the thread pool
        self._close()
        self._journal = journal = Journal(self._path, self._matches, self._limit)
        self._folder = _identity(self._path)
        self._is_at_entry = False
        if cursor and journal.seek(cursor):
            self._is_at_entry = journal.next_behind(cursor)
            return True
        if from_head:
            journal.seek_head()
        else:
            journal.seek_last()
        return not cursor

    def _close(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _read(self) -> Batch:
        batch, room, shape, journal = Batch(), MOST_BYTES, self._shape, self._journal
        if journal is None:
            batch.is_last = True
            return batch
        times, records = batch.times, batch.records
        left = MOST_ENTRIES
        is_at_entry, self._is_at_entry = self._is_at_entry, False
        while left and room > 0:
            if not is_at_entry and not journal.next():
                batch.is_last = True
                break
            is_at_entry = False
            left -= 1
            record: Record = {}
            time = 0
            try:
                time = journal.time()
                room -= journal.fields(record)
            except JournalError as error:
                batch.damaged.append((time, record, error))
                continue
            times.append(time)
            records.append(record)
        if left < MOST_ENTRIES:
            batch.cursor = journal.cursor()
        if shape is not None:
            batch.records = [shape(record) for record in records]
        self.cut, journal.cut = self.cut + journal.cut, 0
        return batch

    def _has_changed(self) -> bool:
        journal = self._journal
        if journal is None or journal.process() == INVALIDATED:
            return True
        # a folder that was removed and made again is not the one that is followed
        return _identity(self._path) != self._folder

    def _unreadable(self) -> list[str]:
        folder, found = Path(self._path), []
        here = [*folder.glob("*.journal"), *folder.glob("*/*.journal")][:_MOST_FILES]
        for path in here:
            if str(path) in self._known:
                continue
            self._known.add(str(path))
            problem = file_problem(path)
            if problem not in _BEING_MADE:
                found.append(f"{path}: {os.strerror(problem)}")
        self._known &= set(map(str, here))
        return found


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
