"""Which followed files are held open: all of them on most machines, the most recently used ones where there are many.

A file that was rotated away stays open until it is read, unless it is known what it is called now and there are too
many; one that has no name any more stays open in any case.
"""

from __future__ import annotations

import os
import resource
import weakref
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from logpipe import Host
from logpipe.builtin.in_tail.generation import Generation
from logpipe.builtin.in_tail.logfile import LogFile

MOST_OPEN: Final = 4096
"""Files that stay open; those that are to be read may be more, up to a third of what the process may open."""

FEWEST_OPEN: Final = 8

MOST_AT_ONCE: Final = 64
"""Files opened in one visit to a thread; fewer where the process may open few."""


class OpenFiles:
    """Opens and closes the files of generations, and counts."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._ceiling = _limit()
        self._most = min(MOST_OPEN, self._ceiling)
        self.at_once = max(1, min(MOST_AT_ONCE, self._ceiling // 16))
        """Files that one visit to a thread may open besides those that are."""
        self._open: set[Generation] = set()
        _all.add(self)
        self._resting: OrderedDict[Generation, None] = OrderedDict()
        """Open files that can be closed, the longest idle first."""
        self._opened = host.counter("opened_file_count", "Files that were opened.")
        self._closed = host.counter("closed_file_count", "Files that were closed.")
        host.gauge("open_file_count", lambda: len(self._open))

    @property
    def room(self) -> int:
        """How many files more may be open."""
        return max(self.at_once, self._ceiling - _count())

    def attach(self, generation: Generation, file: LogFile) -> None:
        """Read a generation from `file`; another one may be closed for it."""
        generation.file = file
        self._opened.add(1)
        self._open.add(generation)
        while self._resting and _count() > self._most:
            self.close_now(next(iter(self._resting)))

    def hold(self, generation: Generation, file: LogFile) -> None:
        """Keep a file open that has just been found, or close it where no more may be and it can be found again."""
        if file.closed:  # there was no room for it
            return
        self.attach(generation, file)
        if _count() > self._ceiling and not generation.adrift:
            self.close_now(generation)

    def wake(self, generation: Generation) -> None:
        """Keep a file open that is about to be read."""
        self._resting.pop(generation, None)

    def make_room(self, generation: Generation) -> None:
        """Close the file of a generation that waits for its outputs, where others want to be opened."""
        if _count() > self._most and not generation.adrift:
            self.close_now(generation)

    def rest(self, generation: Generation, *, close: bool) -> None:
        """Note that there is nothing to read for now; `close` closes the file at once, where it can be found again."""
        if generation.adrift or (close and generation.replaced_at is not None):
            return
        if close or _count() > self._most:
            self.close_now(generation)
        elif generation.file is not None:
            self._resting[generation] = None

    async def close(self, generations: Iterable[Generation]) -> None:
        """Close the files of generations; in a thread, since the last close of a deleted file frees its blocks."""
        files = {each: file for each in generations if (file := self.release(each)) is not None}
        if files:
            gone = await self._host.in_thread(_close_all, list(files.values()))
            for generation, is_gone in zip(files, gone, strict=True):
                generation.gone = is_gone

    def close_now(self, generation: Generation) -> None:
        """Close a generation's file at once, where it is known to exist under its name."""
        file = self.release(generation)
        if file is not None:
            file.close()

    def keep(self, generation: Generation) -> None:
        """Keep a file open that has lost its name, until another one is known."""
        generation.adrift = True
        self._resting.pop(generation, None)

    def release(self, generation: Generation) -> LogFile | None:
        """Return a generation's open file, which is the caller's to close from now on."""
        self._open.discard(generation)
        self._resting.pop(generation, None)
        file, generation.file = generation.file, None
        if file is not None:
            self._closed.add(1)
        return file

    async def close_all(self) -> None:
        """Close every file."""
        await self.close(list(self._open))


_all: weakref.WeakSet[OpenFiles] = weakref.WeakSet()
"""Those of all sources: they share what the process may open."""


def _count() -> int:
    return sum(len(each._open) for each in _all)  # noqa: SLF001 - one of us


def _limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2 * MOST_OPEN if soft == resource.RLIM_INFINITY else max(FEWEST_OPEN, soft // 3)


def _close_all(files: list[LogFile]) -> list[bool]:
    """Close files; returns of each whether it had no name left, so that this was its end."""
    return [_close(file) for file in files]


def _close(file: LogFile) -> bool:
    with file:
        try:
            return os.fstat(file.fileno()).st_nlink == 0
        except OSError:
            return False
