"""What the buffer does to its files. Everything here blocks: it runs in threads.

The order of durable steps, which the crash tests walk through:

    new file:   open ► write ► fdatasync ► close ► fsync of the folder ► the events are accepted
    more of it: open ► write ► fdatasync ► close ► the events are accepted
    delivered:  unlink, not synced: a chunk that a power cut brings back is delivered twice, never lost

No descriptor is kept: thousands of chunks may take events at once, a file that somebody removed is noticed at the
next write instead of being written to in the void, and opening costs a hundredth of what the fdatasync does.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from logpipe import Files, fault

UNFINISHED: Final = ".tmp"
"""What the name of a file ends with until it takes the place of another."""

_MOST_PIECES: Final = 1000
"""Pieces that one system call takes; Linux allows 1024."""


class Disk:
    """The file operations of one buffer.

    Args:
        files: makes them.
        fdatasync: what makes written bytes safe.
        fsync: what makes a folder's entries safe.
    """

    def __init__(
        self,
        files: Files | None = None,
        *,
        fdatasync: Callable[[int], None] = os.fdatasync,
        fsync: Callable[[int], None] = os.fsync,
    ) -> None:
        self._files = files or Files()
        self._fdatasync = fdatasync
        self._fsync = fsync

    def append(self, path: Path, data: Sequence[bytes], *, size: int) -> None:
        """Add pieces of data to a file of `size` bytes, a new one where that is 0; it survives a power cut on return.

        Raises:
            OSError: it may or may not be on the disk, and the file must not be written to any more: what a failed
                sync has dropped, another would not find.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        flags |= os.O_CREAT | os.O_EXCL if size == 0 else 0
        try:
            descriptor = self._files.open(path, flags)
        except FileNotFoundError:
            if size:
                raise
            self.make_folder(path.parent)  # somebody has cleaned up, and we are still here
            descriptor = self._files.open(path, flags)
        try:
            found = os.fstat(descriptor).st_size
            if found != size:
                raise OSError(errno.ESTALE, f"{path} has {found} bytes instead of {size}: something else changed it")
            try:
                self._write(descriptor, data)
                if size == 0:
                    fault("buffer.created")
                    self.sync_folder(path.parent)
            except OSError:
                _take_back(descriptor, path, size)
                raise
        finally:
            os.close(descriptor)
        fault("buffer.synced")

    def _write(self, descriptor: int, data: Sequence[bytes]) -> None:
        fault("buffer.opened")
        _write_all(descriptor, data)
        fault("buffer.written")
        self._fdatasync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """Return when the folder's entries survive a power cut."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._fsync(descriptor)
        finally:
            os.close(descriptor)

    def make_folder(self, folder: Path) -> None:
        """Make a folder with its parents, so that it survives a power cut."""
        self._files.make_folder(folder, self.sync_folder)

    def replace(self, path: Path, *data: bytes) -> None:
        """Put a file with these bytes in the place of `path`; the old one or the new one survives a power cut."""
        temporary = path.with_name(f"{path.name}{UNFINISHED}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = self._files.open(temporary, flags)
        try:
            _write_all(descriptor, data)
            self._fsync(descriptor)
        finally:
            os.close(descriptor)
        fault("buffer.replacing")
        temporary.rename(path)
        fault("buffer.replaced")
        self.sync_folder(path.parent)

    def delete(self, path: Path) -> None:
        """Remove a file that may be gone already."""
        fault("buffer.delete")
        path.unlink(missing_ok=True)
        fault("buffer.deleted")


def _write_all(descriptor: int, data: Sequence[bytes]) -> None:
    for start in range(0, len(data), _MOST_PIECES):
        pieces = data[start : start + _MOST_PIECES]
        written, size = os.writev(descriptor, pieces), sum(map(len, pieces))
        rest = memoryview(b"".join(pieces))[written:] if written < size else memoryview(b"")
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def _take_back(descriptor: int, path: Path, size: int) -> None:
    """Try to leave nothing of a failed write: what is left of it anyhow is delivered twice after a restart."""
    with contextlib.suppress(OSError):
        if size == 0:
            path.unlink()
        else:
            os.ftruncate(descriptor, size)
