"""Which followed files are held open: all of them on most machines, the most recently used ones where there are many.

A file that was rotated away stays open until it is read: its name leads elsewhere, and its inode is kept from being
given to another file only by being open.
"""

from __future__ import annotations

import resource
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from logpipe import Host
from logpipe.builtin.in_tail.generation import Generation
from logpipe.builtin.in_tail.history import reopen
from logpipe.builtin.in_tail.logfile import LogFile
from logpipe.builtin.in_tail.trail import State, Trail

MOST_OPEN: Final = 4096
FEWEST_OPEN: Final = 64


class OpenFiles:
    """Opens and closes the files of generations, and counts."""

    def __init__(self, host: Host, *, most: int | None = None) -> None:
        self._host = host
        self._most = most if most is not None else _limit()
        self._used: OrderedDict[Generation, Trail] = OrderedDict()
        self._opened = host.counter("opened_file_count", "Files that were opened.")
        self._closed = host.counter("closed_file_count", "Files that were closed.")
        host.gauge("open_file_count", lambda: len(self._used))

    def attach(self, trail: Trail, generation: Generation, file: LogFile) -> None:
        """Read a generation from `file`; another one may be closed for it."""
        generation.attach(file)
        self._opened.add(1)
        self._used[generation] = trail
        self._close_surplus()

    def use(self, trail: Trail, generation: Generation) -> None:
        """Note that a generation's file is in use."""
        self._used[generation] = trail
        self._used.move_to_end(generation)

    async def ensure(self, trail: Trail, generation: Generation) -> None:
        """Open a generation's file again where it was closed.

        Raises:
            OSError: it cannot be opened, or is nowhere to be found.
        """
        if generation.file is None:
            file = await self._host.in_thread(reopen, generation.inode_path, trail.path, generation.identity)
            self.attach(trail, generation, file)
        else:
            self.use(trail, generation)

    async def close(self, generations: Iterable[Generation]) -> None:
        """Close the files of generations; in a thread, since the last close of a deleted file frees its blocks."""
        files = [file for each in generations if (file := self.release(each)) is not None]
        if files:
            await self._host.in_thread(_close_all, files)

    def close_now(self, generation: Generation) -> None:
        """Close a generation's file at once, where it is known to exist under its name."""
        file = self.release(generation)
        if file is not None:
            file.close()

    def release(self, generation: Generation) -> LogFile | None:
        """Return a generation's open file, which is the caller's to close from now on."""
        self._used.pop(generation, None)
        file = generation.detach()
        if file is not None:
            self._closed.add(1)
        return file

    @property
    def too_many(self) -> bool:
        """Whether more files are open than should be."""
        return len(self._used) > self._most

    def _close_surplus(self) -> None:
        surplus = len(self._used) - self._most
        if surplus <= 0:
            return
        idle = (each for each, trail in self._used.items() if _is_idle(trail, each))
        for generation in [each for each, _ in zip(idle, range(surplus), strict=False)]:
            self.close_now(generation)

    def all_generations(self) -> list[Generation]:
        """Return the generations whose files are open."""
        return list(self._used)


def _is_idle(trail: Trail, generation: Generation) -> bool:
    return trail.state is State.IDLE and generation.replaced_at is None


def _limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_OPEN if soft == resource.RLIM_INFINITY else max(FEWEST_OPEN, min(MOST_OPEN, soft // 2))


def _close_all(files: list[LogFile]) -> None:
    for file in files:
        file.close()
