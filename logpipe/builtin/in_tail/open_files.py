"""Which followed files are held open: all of them on most machines, the most recently used ones where there are many.

A file that was rotated away stays open until it is read, unless it is known what it is called now and there are too
many; one that has no name any more stays open in any case.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from logpipe import Host
from logpipe.builtin.in_tail.disk import Reopening, in_one_visit
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

    def room(self) -> int:
        """Return how many files more may be open."""
        return max(self.at_once, self._ceiling - _count())

    def attach(self, generation: Generation, file: LogFile) -> None:
        """Read a generation from `file`; another one may be closed for it."""
        generation.file = file
        self._opened.add(1)
        self._open.add(generation)
        while self._resting and _count() > self._most:
            self.close_now(next(iter(self._resting)))

    def hold(self, generation: Generation, file: LogFile | None) -> None:
        """Keep a file open that has just been found, or close it where no more may be and it can be found again."""
        if file is None or file.closed:  # there was no room for it
            return
        self.attach(generation, file)
        if _count() > self._ceiling and not generation.nameless:
            self.close_now(generation)

    def wake(self, generation: Generation) -> None:
        """Keep a file open that is about to be read."""
        self._resting.pop(generation, None)

    def make_room(self, generation: Generation) -> None:
        """Close the file of a generation that waits for its outputs, where others want to be opened."""
        if _count() > self._most and not generation.nameless:
            self.close_now(generation)

    def rest(self, generation: Generation, *, close: bool) -> None:
        """Note that there is nothing to read for now; `close` closes the file at once, where it can be found again."""
        if generation.nameless or (close and generation.replaced_at is not None):
            return
        if close or _count() > self._most:
            self.close_now(generation)
        elif generation.file is not None:
            self._resting[generation] = None

    async def close(self, generations: Iterable[Generation]) -> None:
        """Close the files of generations; in a thread, since the last close of a deleted file frees its blocks."""
        files = {each: file for each in generations if (file := self.release(each)) is not None}
        gone = await in_one_visit(self._host, _close, files.values())
        for generation, is_gone in zip(files, gone, strict=True):
            generation.gone = is_gone

    def close_now(self, generation: Generation) -> None:
        """Close a generation's file at once, where it is known to exist under its name."""
        file = self.release(generation)
        if file is not None:
            file.close()

    def keep(self, generation: Generation) -> None:
        """Keep a file open that has lost its name, until another one is known."""
        generation.nameless = True
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


def _close(file: LogFile) -> bool:
    """Close a file; returns whether it had no name left, so that this was its end."""
    with file:
        try:
            return os.fstat(file.fileno()).st_nlink == 0
        except OSError:
            return False


BLOCK: Final = 512 * 1024
"""Bytes of one read: the visit to a thread costs as much as splitting a quarter of them."""

READERS: Final = 4
"""Visits to one disk at the same time; more would only wait for each other and fill memory."""

MOST: Final = 64
"""Reads of one visit; fewer where they bring a block together, or take long."""

LONG: Final = 10_000_000
"""Nanoseconds after which a visit ends with the read it is at."""


@dataclass(slots=True)
class _Read:
    """One read of one file."""

    generation: Generation
    path: str
    most: int
    reopening: Reopening
    future: asyncio.Future[None]
    asked: int
    file: LogFile | None = None
    began: int = 0
    data: bytes = b""
    error: Exception | None = None

    def run(self) -> None:
        """Read, in a thread; open the file before that where it was closed."""
        generation = self.generation
        self.began = time.time_ns()
        try:
            self.file = generation.file or self._open(generation)
            generation.expect(self.file)
            self.data = self.file.read(self.most)
        except Exception as error:  # noqa: BLE001 - whoever awaits the read gets it
            self.error = error

    def _open(self, generation: Generation) -> LogFile:
        form, name, identity = generation.form, generation.inode_path, generation.identity
        return self.reopening.open(form, name, self.path, identity, generation.born, asked=self.asked)


class Reads:
    """What is to be read from each disk: one that does not answer holds up its own files only."""

    def __init__(self, host: Host, files: OpenFiles) -> None:
        self._host = host
        self._files = files
        self._waiting: dict[int, deque[_Read]] = defaultdict(deque)
        self._visits: dict[int, set[asyncio.Task[None]]] = defaultdict(set)
        self._reopening = Reopening()

    async def read(self, generation: Generation, path: str, most: int) -> bytes:
        """Return what follows a generation's `offset` and `ahead`, after its mark.

        Raises:
            Rewritten: the file no longer holds what was read from it.
            OSError: it cannot be opened or read, or is nowhere to be found.
        """
        self._files.wake(generation)
        loop = asyncio.get_running_loop()
        read = _Read(generation, path, most, self._reopening, loop.create_future(), time.monotonic_ns())
        device = generation.identity.device
        waiting = self._waiting[device]
        if not waiting:  # others may come until it is its turn
            loop.call_soon(self._start, device)
        waiting.append(read)
        await read.future
        if read.error is not None:
            raise read.error
        assert read.file is not None  # noqa: S101 - it was read
        generation.was_read(read.file, read.began)
        return read.data

    def _start(self, device: int) -> None:
        """Begin visits while there is something to read."""
        waiting, visits = self._waiting[device], self._visits[device]
        while waiting and len(visits) < READERS:
            reads = [waiting.popleft() for _ in range(min(MOST, len(waiting)))]
            visit = asyncio.get_running_loop().create_task(self._visit(device, reads), name="tail.read")
            visits.add(visit)
        if not any(self._visits.values()):
            self._reopening.forget()

    async def _visit(self, device: int, reads: list[_Read]) -> None:
        """Make one visit, and give everybody what was read for them."""
        done = len(reads)
        try:
            done = await self._host.in_thread(_read_some, reads, self._files.at_once)
        except Exception as error:  # noqa: BLE001 - whoever awaits the reads gets it
            for read in reads:
                read.error = error
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this runs in one
        self._visits[device].discard(task)
        self._waiting[device].extendleft(reversed(reads[done:]))
        for read in reads[:done]:
            if read.future.done():  # who wanted it was cancelled; what was opened for it closes itself
                continue
            if read.generation.file is None and read.file is not None:
                self._files.attach(read.generation, read.file)
            read.future.set_result(None)
        self._start(device)


def _read_some(reads: Sequence[_Read], most_opened: int) -> int:
    """Read one after the other, until they have brought a block, opened many files or took long; returns how many."""
    size, opened, end = 0, 0, time.monotonic_ns() + LONG
    for number, read in enumerate(reads, 1):
        if not read.future.done():
            read.run()
            size += len(read.data)
            opened += read.file is not read.generation.file
        if size >= BLOCK or opened >= most_opened or time.monotonic_ns() > end:
            return number
    return len(reads)
