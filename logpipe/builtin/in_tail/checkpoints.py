"""Writes down how far files are settled: soon after it moved, not for every batch, and once more at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from logpipe import Host, LogpipeError
from logpipe.builtin.position_file import Entry, Loaded, PositionFile

INTERVAL: Final = 0.5
"""Seconds between two writes while positions move."""

LONGEST_INTERVAL: Final = 10.0
SHARE: Final = 20
"""Writing may take one part in this many of the time."""

AFTER_ERROR: Final = 5.0


class Checkpoints:
    """Keeps `pos_file`; without one it keeps nothing."""

    def __init__(self, path: str | None, host: Host, written: Callable[[], tuple[list[Entry], bytes]]) -> None:
        self._file = None if path is None else PositionFile(path, host.files)
        self._host = host
        self._written = written
        self._due = asyncio.Event()
        self._failing = False
        self._failures = host.counter("position_write_errors", "Writes of pos_file that failed.")

    @property
    def companions(self) -> tuple[str, ...]:
        """The files it writes."""
        return () if self._file is None else self._file.companions

    def moved(self) -> None:
        """Note that there is something to write."""
        self._due.set()

    async def open(self) -> None:
        """Keep other processes from using the file.

        Raises:
            LogpipeError: another process has it.
        """
        if self._file is None:
            return
        try:
            await self._host.in_thread(self._file.open)
        except OSError as error:
            self._say_failure(error)

    async def load(self) -> Loaded:
        """Return what was written by an earlier run, as soon as it can be read.

        To go on without it would be to read what was delivered once more, or to pass over what was not.
        """
        if self._file is None:
            return Loaded([], [], 0.0)
        complained = False
        while True:
            try:
                loaded = await self._host.in_thread(self._file.load)
            except OSError as error:
                if not complained:
                    self._host.log.error(  # noqa: TRY400 - the message says it all, the traceback nothing
                        "pos_file %s cannot be read (%s): no file is followed until it can be, trying again",
                        self._file.path,
                        error.strerror,
                    )
                complained = True
                await self._host.clock.sleep(AFTER_ERROR)
                continue
            for complaint in loaded.complaints:
                self._host.log.warning("%s", complaint)
            return loaded

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._due.wait()
            began = self._host.clock.monotonic()
            await self.save()
            took = self._host.clock.monotonic() - began
            pause = AFTER_ERROR if self._failing else min(LONGEST_INTERVAL, max(INTERVAL, SHARE * took))
            await self._host.clock.sleep(pause)

    async def save(self) -> None:
        """Write what is settled now; what cannot be written is kept in memory and tried again."""
        self._due.clear()
        if self._file is None:
            return
        try:
            await self._host.in_thread(self._file.save, *self._written())
        except (OSError, LogpipeError) as error:
            self._due.set()
            self._failures.add(1)
            self._say_failure(error)
        else:
            if self._failing:
                self._failing = False
                self._host.log.info("pos_file %s can be written again", self._file.path)

    def _say_failure(self, error: Exception) -> None:
        if self._failing or self._file is None:
            return
        self._failing = True
        self._host.log.warning(
            "pos_file %s cannot be written: %s. Events go on; after a crash those since the last write come twice",
            self._file.path,
            error,
        )

    async def stop(self) -> None:
        """Write a last time and let the file go; safe to call twice, and without `load`."""
        if self._file is None:
            return
        if self._due.is_set():
            await self.save()
        await self._host.in_thread(self._file.close)
