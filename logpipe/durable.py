"""Files that must survive a crash and a power cut, and how each of them is written. Everything here blocks.

The order of steps, with the points (faults.py) between them at which the crash tests kill; the name of who writes
stands before each:

    append          open ► .opened ► write ► .written ► fdatasync ► [new file: .created ► fsync of the folder] ► .synced
    append_shared   open, lock ► [empty file: .created ► fsync of the folder] ► .opened ► … ► fdatasync ► .synced
    fill            open anew ► .opened ► write ► .written ► fsync
    take_name       open anew ► .named
    move            .replacing ► rename ► .replaced ► fsync of the folder ► .synced
    replace         fill `NAME.tmp` ► move it to NAME
    remove          .delete ► unlink ► .deleted; not synced: what a power cut brings back is delivered twice, never lost
    make_folder     for each that is missing: mkdir ► .folder ► fsync of the one that it is in

No descriptor is kept: thousands of files may be written to at once, a file that somebody removed is noticed at the next
write instead of being written to in the void, and opening costs a hundredth of what the fdatasync does.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from logpipe.faults import fault as fault  # noqa: PLC0414 - exported
from logpipe.files import Files as Files  # noqa: PLC0414
from logpipe.files import sync_folder

UNFINISHED: Final = ".tmp"
"""What the name of a file ends with until it takes the place of another."""

_MOST_PIECES: Final = 1000
"""Pieces that one system call takes; Linux allows 1024."""
_MOST_BYTES: Final = 1 << 20
"""Bytes that are gathered for one: pieces may be made while they are written."""


class Disk:
    """The files that one part of the program writes.

    No method follows a link at the end of a path: who writes through links resolves them before.

    Args:
        files: makes them, and folders, with its modes.
        name: of that part; the names of its points begin with it.
        fdatasync: what makes written bytes safe, `os.fdatasync` unless given.
        fsync: what makes new files and the entries of folders safe, `os.fsync` unless given.
    """

    def __init__(
        self,
        files: Files,
        name: str,
        *,
        fdatasync: Callable[[int], None] | None = None,
        fsync: Callable[[int], None] | None = None,
    ) -> None:
        self._files = files
        self._name = name
        self._fdatasync = fdatasync
        self._fsync = fsync

    def append(self, path: Path, pieces: Iterable[bytes], *, at: int) -> None:
        """Add pieces to a file of `at` bytes that nobody else writes to, a new one where that is 0.

        It survives a power cut on return.

        Raises:
            OSError: it may or may not be on the disk, and the file must not be written to any more: what a failed
                sync has dropped, another would not find.
        """
        flags = os.O_WRONLY | os.O_APPEND if at else os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
        try:
            descriptor = self._open(path, flags)
        except FileNotFoundError:
            if at:
                raise
            self.make_folder(path.parent)  # somebody has cleaned up, and we are still here
            descriptor = self._open(path, flags)
        with _closing(descriptor):
            found = os.fstat(descriptor).st_size
            if found != at:
                raise OSError(errno.ESTALE, f"{path} has {found} bytes instead of {at}: something else changed it")
            with _taking_back(path.unlink if at == 0 else lambda: os.ftruncate(descriptor, at)):
                self._write(descriptor, pieces, self._fdatasync or os.fdatasync)
                if at == 0:
                    self._fault("created")
                    self.sync_folder(path.parent)
        self._fault("synced")

    def append_shared(self, path: Path, pieces: Iterable[bytes], *, is_text: bool = True) -> None:
        """Add pieces to a file that other processes may add to or take away, all or nothing; it is made if missing.

        They survive a power cut on return. What a crash has left of a line of text stays a line by itself.

        Raises:
            OSError: they could not be written; the file is as long as before.
        """
        descriptor = self.open_locked(path, os.O_RDWR | os.O_APPEND, wait=True)
        with _closing(descriptor):
            size = os.fstat(descriptor).st_size
            if not size:
                # before there are bytes: whoever finds some, after a crash, takes its name for safe
                self._fault("created")
                self.sync_folder(path.parent)
            is_torn = is_text and bool(size) and os.pread(descriptor, 1, size - 1) != b"\n"
            with _taking_back(lambda: os.ftruncate(descriptor, size)):
                lines = _on_new_line(pieces) if is_torn else pieces
                self._write(descriptor, lines, self._fdatasync or os.fdatasync)
        self._fault("synced")

    def fill(self, path: Path, pieces: Iterable[bytes], *, ready: Callable[[int], None] | None = None) -> int:
        """Make a file in the place of any of that name; returns its descriptor, to be closed, when its bytes are safe.

        Its name is not: `move` gives it one that is. `ready` is called with the descriptor before anything is written.

        Raises:
            OSError: it could not be written; no file of that name is left.
        """
        path.unlink(missing_ok=True)  # of an attempt that a crash has ended
        descriptor = self._open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            with _taking_back(path.unlink):
                if ready is not None:
                    ready(descriptor)
                self._write(descriptor, pieces, self._fsync or os.fsync)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def move(self, source: Path, target: Path) -> None:
        """Give a file the name of another, whose place it takes; either survives a power cut."""
        self._fault("replacing")
        source.rename(target)
        self._fault("replaced")
        self.sync_folder(target.parent)
        self._fault("synced")

    def take_name(self, path: Path) -> None:
        """Make an empty file, so that no other process takes its name; `move` puts a full one in its place.

        Raises:
            FileExistsError: the name is taken.
            OSError: it cannot be made.
        """
        os.close(self._open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        self._fault("named")

    def replace(self, path: Path, pieces: Iterable[bytes], *, ready: Callable[[int], None] | None = None) -> None:
        """Put a file with these bytes in the place of `path`; the old one or the new one survives a power cut.

        `ready` is called with the new file's descriptor before anything is written.
        """
        temporary = path.with_name(f"{path.name}{UNFINISHED}")
        os.close(self.fill(temporary, pieces, ready=ready))
        with _taking_back(temporary.unlink):
            self.move(temporary, path)

    def remove(self, path: Path) -> None:
        """Remove a file that may be gone already."""
        self._fault("delete")
        path.unlink(missing_ok=True)
        self._fault("deleted")

    def make_folder(self, folder: Path) -> None:
        """Make a folder with its parents, so that it survives a power cut."""
        self._files.make_folder(folder, self._sync_parent)

    def sync_folder(self, folder: Path) -> None:
        """Return when the folder's entries survive a power cut."""
        sync_folder(folder, self._fsync)

    def open_locked(self, path: Path, flags: int, *, wait: bool = False) -> int:
        """Open a file, made where it is missing, and lock it until the descriptor that is returned is closed.

        Raises:
            BlockingIOError: another process has locked it, and `wait` was not asked for.
            OSError: it cannot be opened.
        """
        while True:
            descriptor = self._open(path, flags | os.O_CREAT)
            try:
                lock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_there = is_at(descriptor, path)
            except BaseException:
                os.close(descriptor)
                raise
            if is_there:
                return descriptor
            os.close(descriptor)  # renamed or removed between our open and our lock by who had it

    def _open(self, path: Path, flags: int) -> int:
        return self._files.open(path, flags | os.O_NOFOLLOW)

    def _write(self, descriptor: int, pieces: Iterable[bytes], sync: Callable[[int], None]) -> None:
        self._fault("opened")
        _write_all(descriptor, pieces)
        self._fault("written")
        sync(descriptor)

    def _sync_parent(self, folder: Path) -> None:
        self._fault("folder")
        self.sync_folder(folder)

    def _fault(self, step: str) -> None:
        fault(f"{self._name}.{step}")


def lock(descriptor: int, how: int) -> None:
    """Lock an open file or folder, `how` as flock takes it; quiet on a file system that has no locks.

    Raises:
        BlockingIOError: another process has locked it.
    """
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        raise
    except OSError:  # two processes on it cannot be told apart
        return


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _taking_back(take_back: Callable[[], None]) -> Iterator[None]:
    """Try to leave nothing of a write that fails; what is left of it anyhow is delivered twice after a restart."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            take_back()
        raise


def _write_all(descriptor: int, pieces: Iterable[bytes]) -> None:
    gathered: list[bytes] = []
    size = 0
    for piece in pieces:
        gathered.append(piece)
        size += len(piece)
        if size >= _MOST_BYTES or len(gathered) == _MOST_PIECES:
            _write_gathered(descriptor, gathered, size)
            gathered, size = [], 0
    if size:
        _write_gathered(descriptor, gathered, size)


def _write_gathered(descriptor: int, pieces: list[bytes], size: int) -> None:
    written = os.writev(descriptor, pieces)
    rest = memoryview(b"".join(pieces))[written:] if written < size else memoryview(b"")
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _on_new_line(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces, behind a newline if they are lines: what is before them then ends where it was torn off."""
    is_first = True
    for piece in pieces:
        if is_first and piece.endswith(b"\n"):
            yield b"\n"
        is_first = False
        yield piece


def is_at(descriptor: int, path: Path) -> bool:
    """Return whether an open file is the one that has a name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False
