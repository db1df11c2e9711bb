"""Reads files in threads, many in one visit: where thousands have a few new lines, visits cost more than reading."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Final

from logpipe import Host
from logpipe.builtin.in_tail.generation import Generation
from logpipe.builtin.in_tail.logfile import LogFile
from logpipe.builtin.in_tail.look import reopen
from logpipe.builtin.in_tail.open_files import OpenFiles

BLOCK: Final = 512 * 1024
"""Bytes of one read: the visit to a thread costs as much as splitting a quarter of them."""

READERS: Final = 4
"""Visits to one disk at the same time; more would only wait for each other and fill memory."""

MOST: Final = 64
"""Reads of one visit; fewer where they bring a block together, or take long."""

LONG: Final = 10_000_000
"""Nanoseconds after which a visit ends with the read it is at."""


class _Read:
    """One read of one file."""

    __slots__ = ("began", "data", "error", "file", "future", "generation", "most", "path")

    def __init__(self, generation: Generation, path: str, most: int) -> None:
        self.generation = generation
        self.path = path
        self.most = most
        self.file: LogFile | None = None
        self.began = 0
        self.data = b""
        self.error: Exception | None = None
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def run(self) -> None:
        """Read, in a thread; open the file before that where it was closed."""
        generation = self.generation
        self.began = time.time_ns()
        try:
            self.file = generation.file or reopen(
                generation.form, generation.inode_path, self.path, generation.identity, generation.born
            )
            generation.expect(self.file)
            self.data = self.file.read(self.most)
        except Exception as error:  # noqa: BLE001 - whoever awaits the read gets it
            self.error = error


class Reads:
    """What is to be read from each disk: one that does not answer holds up its own files only."""

    def __init__(self, host: Host, files: OpenFiles) -> None:
        self._host = host
        self._files = files
        self._waiting: dict[int, deque[_Read]] = defaultdict(deque)
        self._visits: dict[int, set[asyncio.Task[None]]] = defaultdict(set)

    async def read(self, generation: Generation, path: str, most: int) -> bytes:
        """Return what follows a generation's `offset` and `ahead`, after its mark.

        Raises:
            Rewritten: the file no longer holds what was read from it.
            OSError: it cannot be opened or read, or is nowhere to be found.
        """
        self._files.wake(generation)
        read = _Read(generation, path, most)
        device = generation.identity.device
        waiting = self._waiting[device]
        if not waiting:  # others may come until it is its turn
            asyncio.get_running_loop().call_soon(self._start, device)
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
            self._hand_over(read)
        self._start(device)

    def _hand_over(self, read: _Read) -> None:
        if read.future.done():  # who wanted it was cancelled; what was opened for it closes itself
            return
        if read.generation.file is None and read.file is not None:
            self._files.attach(read.generation, read.file)
        read.future.set_result(None)


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
