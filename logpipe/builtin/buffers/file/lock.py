"""Keeps a second process out of a buffer's files."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from logpipe import Files, LogpipeError


class Lock:
    """A locked file beside the chunks; the kernel lets go of it however the process ends. Every method blocks."""

    def __init__(self, path: Path, files: Files | None = None) -> None:
        self.path = path
        self._files = files or Files()
        self._descriptor: int | None = None

    def take(self) -> None:
        """Lock, until `release`.

        Raises:
            LogpipeError: another process has it.
            OSError: the file cannot be made.
        """
        while self._descriptor is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = self._files.open(self.path, flags)
            try:
                self._lock(descriptor)
                ours = _is_at(descriptor, self.path)
            except BaseException:
                os.close(descriptor)
                raise
            if ours:
                self._descriptor = descriptor
            else:  # removed between our open and our lock by the process that had it
                os.close(descriptor)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise LogpipeError(
                f"buffer {self.path.parent} is in use by another process (pid {owner}, {self.path.name}): stop that "
                "one, or give each its own path in <buffer>"
            ) from None
        except OSError:  # a file system without locks: two processes on it cannot be told apart
            return

    def release(self) -> None:
        """Let others have it; quiet when it was not taken."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        with contextlib.suppress(OSError):
            self.path.unlink()
        os.close(descriptor)


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


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False
