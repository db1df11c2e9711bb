"""Watches the free space of the buffer's disk: below a threshold the buffer takes no events until space is free."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from logpipe import Host

MOST_RESERVED: Final = 64 << 20
RESERVED_SHARE: Final = 0.05
SECONDS: Final = 1.0
"""Seconds between two checks of the disk, if something was written since the last one."""
PATIENCE: Final = 5.0
"""Seconds after which a full disk is tried again although it seemed to have space: quotas are not visible."""

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Space:
    """Tracks whether the disk has free space.

    Args:
        folder: the buffer's; must exist before `watch`.
        host: of the output.
        reserved: bytes to leave free; None for a twentieth of the disk, 64 MiB at most.
        statvfs: returns the free space of the disk.
    """

    def __init__(
        self,
        folder: Path,
        host: Host,
        *,
        reserved: int | None,
        statvfs: Callable[[Path], os.statvfs_result] = os.statvfs,
    ) -> None:
        self.problem = ""
        """Why nothing may be written; empty where it may."""
        self._folder = folder
        self._host = host
        self._reserved = reserved
        self._statvfs = statvfs
        self._room = asyncio.Event()
        self._room.set()
        self._touched = asyncio.Event()
        self._touched.set()
        self._not_before = 0.0

    def touch(self) -> None:
        """Record a write."""
        self._touched.set()

    def ran_out(self, error: OSError) -> None:
        """Record that a write failed on a full disk."""
        self._not_before = self._host.clock.monotonic() + PATIENCE
        self._close(f"its disk is full ({error.strerror})")

    async def room(self) -> None:
        """Wait until writing is allowed."""
        await self._room.wait()

    async def watch(self) -> None:
        """Check the disk until cancelled."""
        while True:
            await self._touched.wait()
            await self._look()
            if not self.problem:
                self._touched.clear()
            await self._host.clock.sleep(SECONDS)

    async def _look(self) -> None:
        try:
            found = await self._host.in_thread(self._statvfs, self._folder)
        except OSError:
            return  # a write reports the same error
        free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
        reserved = min(MOST_RESERVED, int(total * RESERVED_SHARE)) if self._reserved is None else self._reserved
        if free < reserved:
            self._close(f"only {free} bytes are free on its disk, less than the {reserved} of free_space_reserve")
        elif found.f_files and not found.f_favail:
            self._close("its disk has no room for another file")
        elif self._host.clock.monotonic() >= self._not_before:
            self._open()

    def _close(self, problem: str) -> None:
        if not self.problem:
            self._host.log.warning(
                "buffer %s takes no more events: %s. Nothing is dropped, inputs wait: free some room",
                self._folder,
                problem,
            )
        self.problem = problem
        self._room.clear()
        self._touched.set()

    def _open(self) -> None:
        if self.problem:
            self._host.log.info("buffer %s takes events again: there is room on its disk", self._folder)
        self.problem = ""
        self._room.set()
