"""Locks a buffer's files against a second process, even where the disk has no space for a lock file."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import Final

from logpipe import LogpipeError
from logpipe.durable import Disk, lock

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Lock:
    """A locked file beside the chunks; the kernel unlocks it when the process ends. Every method blocks."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self.path = path
        self._disk = disk
        self._descriptor: int | None = None
        self._folder: int | None = None

    def take(self) -> None:
        """Lock, until `release`.

        The folder is locked as well: shared by all processes with a lock file in it, exclusively where the disk is too
        full for a lock file; otherwise the chunks on a full disk could never be delivered.

        Raises:
            LogpipeError: another process has it.
            OSError: the file cannot be made.
        """
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            lock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)
            try:
                self._descriptor = self._disk.open_locked(self.path, os.O_RDWR)
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(folder)
            raise LogpipeError(
                f"buffer {self.path.parent} is in use by another process (pid {_owner(self.path)}, {self.path.name}): "
                "stop that one, or give each its own path in <buffer>"
            ) from None
        except BaseException:
            os.close(folder)
            raise
        self._folder = folder
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # the owner is then reported as unknown
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Unlock it; does nothing when it is not locked."""
        descriptor, self._descriptor = self._descriptor, None
        folder, self._folder = self._folder, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()
            os.close(descriptor)
        if folder is not None:
            os.close(folder)


def holder(path: Path) -> str | None:
    """Return the id of the process that holds a lock file, `unknown` where it is not in the file; None without a lock.

    It does not try to lock: an engine that starts at that moment would fail.
    """
    try:
        found = path.stat(follow_symlinks=False)
        locks = Path("/proc/locks").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    inode = f":{found.st_ino} "
    is_held = any("FLOCK" in line and inode in line for line in locks.splitlines())
    return _owner(path) if is_held else None


def _owner(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip() or "unknown"
    except OSError:
        return "unknown"
