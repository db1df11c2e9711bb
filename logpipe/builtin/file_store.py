"""Writes bytes to files so that neither a crash nor a full disk leaves half of them. Everything here blocks."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import select
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from logpipe.durable import Disk

_BAD_NAMES: Final = frozenset(
    {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EILSEQ, errno.EINVAL}
)
_NOT_SYNCED: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EROFS})
"""What fsync answers on what is no file: a pipe, a terminal, /dev/null."""
_PATIENCE: Final = 10.0
"""Seconds without a byte after which whoever reads a FIFO counts as gone."""


def is_bad_name(error: OSError, *, folder: str) -> bool:
    """Return whether an error is about a name that can never be a file's, and that values have made.

    Args:
        error: of `append` or `create_first_free`.
        folder: the part of the path that no value is in, "" where none is in all of it. If it is no folder, somebody
            will set it right.
    """
    if error.errno not in _BAD_NAMES or error.filename is None or not folder:
        return False
    return error.errno == errno.ENAMETOOLONG or Path(folder).is_dir()


def append(path: Path, pieces: Iterable[bytes], disk: Disk, *, is_text: bool = True) -> None:
    """Add pieces to the end of a file, all or nothing, and return when they are on the disk.

    Processes that append to one file wait for each other. What a crash has left of a line of text stays a line by
    itself.
    A device or a FIFO takes what it is given: nothing can be taken back from it, and there is no disk to wait for.

    Raises:
        OSError: it could not be written; the file is as long as before.
    """
    disk.make_folder(path.parent)
    if _is_special(path):
        _append_to_special(path, pieces)
        return
    disk.append_shared(Path(os.path.realpath(path)), pieces, is_text=is_text)  # a link is written through


def _is_special(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _append_to_special(path: Path, pieces: Iterable[bytes]) -> None:
    # a FIFO that nobody reads would else hold a thread until somebody does
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                try:
                    rest = rest[os.write(descriptor, rest) :]
                except BlockingIOError:
                    _wait_for_room(descriptor)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _NOT_SYNCED:
                raise
    finally:
        os.close(descriptor)


def create_first_free(path: str, pieces: Iterable[bytes], *, placeholder: str, name: str, disk: Disk) -> Path:
    """Write a file whose number, in place of `placeholder`, is the first that is free, from `_0` on; return its path.

    The bytes are written under a hidden name that holds `name`, and get their final one when they are on the disk.
    The number is taken by an empty file of that name, which another process then passes over.

    Raises:
        OSError: it could not be written; no file is left behind.
    """
    first = Path(path.replace(placeholder, "_0", 1))
    disk.make_folder(first.parent)
    _check_name(first)
    # may be no longer than the final name, which may be as long as names can be
    hidden = first.with_name(f".{name}.tmp")
    os.close(disk.fill(hidden, pieces))
    final: Path | None = None
    try:
        final = _take_first_free(path, placeholder, disk)
        disk.move(hidden, final)
    except BaseException:
        for left in (hidden, final):
            with contextlib.suppress(OSError):
                if left is not None:
                    left.unlink()
        raise
    return final


def _check_name(path: Path) -> None:
    """Find out that a file cannot have a name before all its bytes are written.

    Raises:
        OSError: it cannot.
    """
    with contextlib.suppress(FileNotFoundError):
        path.lstat()


def _take_first_free(path: str, placeholder: str, disk: Disk) -> Path:
    for number in itertools.count():
        candidate = Path(path.replace(placeholder, f"_{number}", 1))
        with contextlib.suppress(FileExistsError):
            disk.take_name(candidate)
            return candidate
    raise AssertionError  # numbers do not end


def _wait_for_room(descriptor: int) -> None:
    waiting = select.poll()
    waiting.register(descriptor, select.POLLOUT)
    if not waiting.poll(_PATIENCE * 1000):
        raise TimeoutError(errno.ETIMEDOUT, f"nobody has read from it for {_PATIENCE:g} seconds")
