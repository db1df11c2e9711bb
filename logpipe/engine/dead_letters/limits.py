"""How many dead letters are kept, and how long: the oldest files of a worker go first. Everything here blocks.

A file that is being replayed counts and stays, and so does the newest, however large: it is what was just given up.
Fluentd's backups in the same folders are nobody's to delete but `logpipe buffer prune`'s.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from logpipe.metrics import Counter
from logpipe.plugin import Clock

Log: TypeAlias = "logging.Logger | logging.LoggerAdapter[Any]"

SUFFIX: Final = ".jsonl"
MOST_BYTES: Final = 64 << 30
SHARE_OF_DISK: Final = 4
"""One part in so many of the disk, `MOST_BYTES` at most, where no size is set: as much as a whole buffer in files."""
_BLOCK: Final = 1 << 20


class Limits(NamedTuple):
    """`dead_letter_limit_size` and `dead_letter_limit_age` of `<system>`."""

    size: int | None = None
    """Bytes; None for a share of the disk."""
    age: float | None = None
    """Seconds; None for ever."""


class _File(NamedTuple):
    modified: int
    size: int
    path: Path


class Keeper:
    """Deletes a worker's oldest files of dead letters.

    Args:
        folder: the worker's; it may not be there.
        limits: what is kept.
        clock: says how old a file is.
        log: told of what is deleted.
        statvfs: returns the size of the disk.
    """

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        clock: Clock,
        log: Log,
        statvfs: Callable[[Path], os.statvfs_result] = os.statvfs,
    ) -> None:
        self.limits = limits
        self.size = 0
        """Bytes of all files at the last look, and what was written since."""
        self.deleted = Counter(
            "deleted_dead_letter_records", "Events in files of dead letters that were too many or too old, and deleted."
        )
        self._folder = folder
        self._clock = clock
        self._log = log
        self._statvfs = statvfs
        self._limit: int | None = limits.size
        self._has_looked = False
        self._lock = threading.Lock()

    @property
    def limit(self) -> int:
        """Most bytes of all files; read from a thread, since it may ask the disk once."""
        if self._limit is None:
            there = next(path for path in (self._folder, *self._folder.parents) if path.exists())
            try:
                found = self._statvfs(there)
            except OSError:
                return MOST_BYTES
            self._limit = min(MOST_BYTES, found.f_blocks * found.f_frsize // SHARE_OF_DISK)
        return self._limit

    def wrote(self, size: int) -> None:
        """Hear that so many bytes were written, and make room for them if there are too many."""
        with self._lock:
            self.size += size
            if self.size > self.limit or not self._has_looked:
                self._look()

    def look(self) -> None:
        """Delete what is too much or too old."""
        with self._lock:
            self._look()

    def _look(self) -> None:
        found = sorted(files_in(self._folder))
        self.size, self._has_looked = sum(file.size for file in found), True
        oldest = None if self.limits.age is None else self._clock.now() - int(self.limits.age * 1_000_000_000)
        for file in found:
            if oldest is not None and file.modified < oldest:
                self._delete(file, f"older than dead_letter_limit_age, {self.limits.age:.0f} seconds")
            elif self.size > self.limit and file is not found[-1]:
                self._delete(file, f"the oldest of more than dead_letter_limit_size, {self.limit} bytes")

    def _delete(self, file: _File, why: str) -> None:
        if not file.path.name.endswith(SUFFIX):
            return  # it is being replayed
        try:
            descriptor = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return
        with os.fdopen(descriptor, "rb") as opened:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                count = sum(block.count(b"\n") for block in iter(lambda: opened.read(_BLOCK), b""))
                file.path.unlink()
            except OSError:  # somebody writes to it, or it is gone
                return
        self.size -= file.size
        self.deleted.add(count)
        self._log.error("%d dead letters are deleted with %s: it is %s", count, file.path, why)


def files_in(folder: Path) -> Iterator[_File]:
    """Yield the files of dead letters of a worker's plugins, those that are being replayed, too."""
    with suppress(OSError):
        for below in folder.iterdir():
            with suppress(OSError):
                for path in below.iterdir():
                    if SUFFIX in path.suffixes and path.is_file() and not path.is_symlink():
                        status = path.stat()
                        yield _File(status.st_mtime_ns, status.st_size, path)
