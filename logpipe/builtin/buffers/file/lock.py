"""Keeps a second process out of a buffer's files, also where the disk has no room for a lock's own file."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import Final

from logpipe import Files, LogpipeError

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Lock:
    """A locked file beside the chunks; the kernel lets go of it however the process ends. Every method blocks."""

    def __init__(self, path: Path, files: Files | None = None) -> None:
        self.path = path
        self._files = files or Files()
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
            self._lock(folder, fcntl.LOCK_SH)
            try:
                self._take_file()
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                self._lock(folder, fcntl.LOCK_EX)
        except BaseException:
            os.close(folder)
            raise
        self._folder = folder

    def _take_file(self) -> None:
        while self._descriptor is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = self._files.open(self.path, flags)
            try:
                self._lock(descriptor, fcntl.LOCK_EX)
                ours = _is_at(descriptor, self.path)
            except BaseException:
                os.close(descriptor)
                raise
            if ours:
                self._descriptor = descriptor
            else:  # removed between our open and our lock by the process that had it
                os.close(descriptor)
        with contextlib.suppress(OSError):  # who has it is said to be unknown, then
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)

    def _lock(self, descriptor: int, how: int) -> None:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(self.path)
            raise LogpipeError(
                f"buffer {self.path.parent} is in use by another process (pid {owner}, {self.path.name}): stop that "
                "one, or give each its own path in <buffer>"
            ) from None
        except OSError:  # a file system without locks: two processes on it cannot be told apart
            return

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


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False
