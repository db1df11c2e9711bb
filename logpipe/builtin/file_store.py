"""Writes bytes to files so that neither a crash nor a full disk leaves a part of them. Everything here blocks."""

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
"""The errors of fsync on a pipe, a terminal or /dev/null."""
_TIMEOUT: Final = 10.0
"""Seconds without progress after which the reader of a FIFO counts as gone."""


def is_bad_name(error: OSError, *, folder: str) -> bool:
    """Return whether an error is about a name that can never be a file's because of the values in it.

    Args:
        error: of `append` or `create_first_free`.
        folder: the part of the path before the first value, "" where the path has none. If it is not a folder, the
            error is not due to values and can be corrected.
    """
    if error.errno not in _BAD_NAMES or error.filename is None or not folder:
        return False
    return error.errno == errno.ENAMETOOLONG or Path(folder).is_dir()


def append(path: Path, pieces: Iterable[bytes], disk: Disk, *, is_text: bool = True) -> None:
    """Add pieces to the end of a file, all or nothing, and return when they are on the disk.

    Processes that append to one file wait for each other. A line of text that a crash has cut stays a separate line.
    On a device or a FIFO, writing is neither atomic nor synced.

    Raises:
        OSError: it could not be written; the file is as long as before.
    """
    disk.make_folder(path.parent)
    if _is_special(path):
        _append_to_special(path, pieces)
        return
    disk.append_shared(Path(os.path.realpath(path)), pieces, is_text=is_text)  # links are followed


def _is_special(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _append_to_special(path: Path, pieces: Iterable[bytes]) -> None:
    # without this, a FIFO without a reader would block the thread
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


def create_first_free(
    path: str, pieces: Iterable[bytes], *, placeholder: str, name: str, disk: Disk, mark: str = "_"
) -> Path:
    """Write a file with the first free number, from 0 on and behind `mark`, in place of `placeholder`; return its path.

    The bytes are written under a hidden name that contains `name`, and renamed when they are on the disk. An empty
    file of the final name reserves the number against other processes.

    Raises:
        OSError: it could not be written; no file remains.
    """
    first = Path(path.replace(placeholder, f"{mark}0", 1))
    disk.make_folder(first.parent)
    with contextlib.suppress(FileNotFoundError):
        first.lstat()  # fails, before its bytes are written, where a file cannot have this name
    # must not be longer than the final name, which may have the largest possible length
    hidden = first.with_name(f".{name}.tmp")
    os.close(disk.fill(hidden, pieces))
    final: Path | None = None
    try:
        final = _take_first_free(path, placeholder, mark, disk)
        disk.move(hidden, final)
    except BaseException:
        for left in (hidden, final):
            with contextlib.suppress(OSError):
                if left is not None:
                    left.unlink()
        raise
    return final


def _take_first_free(path: str, placeholder: str, mark: str, disk: Disk) -> Path:
    for number in itertools.count():
        candidate = Path(path.replace(placeholder, f"{mark}{number}", 1))
        with contextlib.suppress(FileExistsError):
            disk.take_name(candidate)
            return candidate
    raise AssertionError  # numbers do not end


def _wait_for_room(descriptor: int) -> None:
    waiting = select.poll()
    waiting.register(descriptor, select.POLLOUT)
    if not waiting.poll(_TIMEOUT * 1000):
        raise TimeoutError(errno.ETIMEDOUT, f"nothing was read from it for {_TIMEOUT:g} seconds")
