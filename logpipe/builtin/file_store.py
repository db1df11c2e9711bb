"""Writes bytes to files so that neither a crash nor a full disk leaves half of them. Everything here blocks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import select
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

from logpipe import Files

Data: TypeAlias = bytes | Iterable[bytes]
"""What is written, in one piece or in several."""

AS_USUAL: Final = Files()

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


def append(path: Path, data: Data, files: Files = AS_USUAL, *, is_text: bool = True) -> None:
    """Add `data` to the end of a file, all or nothing, and return when it is on the disk.

    Processes that append to one file wait for each other. What a crash has left of a line of text stays a line by
    itself.
    A device or a FIFO takes what it is given: nothing can be taken back from it, and there is no disk to wait for.

    Raises:
        OSError: it could not be written; the file is as long as before.
    """
    files.make_folder(path.parent)
    if _is_special(path):
        _append_to_special(path, data)
        return
    descriptor = files.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        is_torn = is_text and bool(size) and os.pread(descriptor, 1, size - 1) != b"\n"
        try:
            _write(descriptor, _on_new_line(data) if is_torn else _pieces(data))
        except BaseException:
            os.ftruncate(descriptor, size)
            raise
        if not size:
            files.sync_folder(path.parent)
    finally:
        os.close(descriptor)


def _is_special(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _append_to_special(path: Path, data: Data) -> None:
    # a FIFO that nobody reads would else hold a thread until somebody does
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        _write(descriptor, _pieces(data))
    finally:
        os.close(descriptor)


def create_first_free(path: str, data: Data, *, placeholder: str, name: str, files: Files = AS_USUAL) -> Path:
    """Write a file whose number, in place of `placeholder`, is the first that is free, from `_0` on; return its path.

    The bytes are written under a hidden name that holds `name`, and get their final one when they are on the disk.
    The number is taken by an empty file of that name, which another process then passes over.

    Raises:
        OSError: it could not be written; no file is left behind.
    """
    first = Path(path.replace(placeholder, "_0", 1))
    files.make_folder(first.parent)
    hidden = first.with_name(
        f".{name}.tmp"
    )  # may be no longer than the final name, which may be as long as names can be
    try:
        descriptor = files.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            _check_name(first)
            _write(descriptor, _pieces(data))
        finally:
            os.close(descriptor)
        final = _take_first_free(path, placeholder, files)
        hidden.replace(final)
    except BaseException:
        with contextlib.suppress(OSError):
            hidden.unlink()
        raise
    files.sync_folder(final.parent)
    return final


def _check_name(path: Path) -> None:
    """Find out that a file cannot have a name before all its bytes are written.

    Raises:
        OSError: it cannot.
    """
    with contextlib.suppress(FileNotFoundError):
        path.lstat()


def _take_first_free(path: str, placeholder: str, files: Files) -> Path:
    for number in itertools.count():
        candidate = Path(path.replace(placeholder, f"_{number}", 1))
        with contextlib.suppress(FileExistsError):
            os.close(files.open(candidate, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            return candidate
    raise AssertionError  # numbers do not end


def _pieces(data: Data) -> Iterable[bytes]:
    return (data,) if isinstance(data, bytes) else data


def _on_new_line(data: Data) -> Iterator[bytes]:
    """Yield the pieces, behind a newline if they are lines: what is before them then ends where it was torn off."""
    pieces = iter(_pieces(data))
    for first in pieces:
        yield b"\n" + first if first.endswith(b"\n") else first
        yield from pieces


def _write(descriptor: int, pieces: Iterable[bytes]) -> None:
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
        if error.errno not in _NOT_SYNCED or stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise


def _wait_for_room(descriptor: int) -> None:
    waiting = select.poll()
    waiting.register(descriptor, select.POLLOUT)
    if not waiting.poll(_PATIENCE * 1000):
        raise TimeoutError(errno.ETIMEDOUT, f"nobody has read from it for {_PATIENCE:g} seconds")
