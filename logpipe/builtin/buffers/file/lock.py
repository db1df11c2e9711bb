"""Keeps a second process out of a buffer's files, also where the disk has no room for a lock's own file."""

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
    """A locked file beside the chunks; the kernel lets go of it however the process ends. Every method blocks."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self.path = path
        self._disk = disk
        self._descriptor: int | None = None
        self._folder: int | None = None

    def take(self) -> None:
        """Lock, until `release`.

        The folder is locked as well: shared by all who have a file of their own in it, and alone where the disk is so
        full that none can be made. What waits in the buffer could never leave it otherwise.

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
            with contextlib.suppress(OSError):  # who has it is said to be unknown, then
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Let others have it; quiet when it was not taken."""
        descriptor, self._descriptor = self._descriptor, None
        folder, self._folder = self._folder, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()
            os.close(descriptor)
        if folder is not None:
            os.close(folder)


def holder(path: Path) -> str | None:
    """Return the process that holds a lock file, `unknown` where it did not say; None where nobody does.

    It is not tried by locking: an engine that starts at that moment would take us for another engine.
    """
    try:
        found = path.stat(follow_symlinks=False)
        pid = path.read_text(encoding="ascii", errors="replace").strip()
        locks = Path("/proc/locks").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    inode = f":{found.st_ino} "
    is_held = any("FLOCK" in line and inode in line for line in locks.splitlines())
    return (pid or "unknown") if is_held else None


def _owner(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip() or "unknown"
    except OSError:
        return "unknown"
