"""Writes bytes to files so that neither a crash nor a full disk leaves half of them. Everything here blocks."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
from pathlib import Path


def append(path: Path, data: bytes) -> None:
    """Add `data` to the end of a file, all or nothing, and return when it is on the disk.

    Processes that append to one file wait for each other. What a crash has left of a line stays a line by itself.

    Raises:
        OSError: it could not be written; the file is as long as before.
    """
    _make_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        if size and data.endswith(b"\n") and os.pread(descriptor, 1, size - 1) != b"\n":
            data = b"\n" + data
        try:
            _write(descriptor, data)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
        if not size:
            _sync_folder(path.parent)
    finally:
        os.close(descriptor)


def create_first_free(path: str, data: bytes, *, placeholder: str, name: str) -> Path:
    """Write a file whose number, in place of `placeholder`, is the first that is free, from `_0` on; return its path.

    The bytes are written under a hidden name that holds `name`, and get their final one when they are on the disk.
    The number is taken by an empty file of that name, which another process then passes over.

    Raises:
        OSError: it could not be written; no file is left behind.
    """
    first = Path(path.replace(placeholder, "_0", 1))
    _make_folder(first.parent)
    hidden = first.with_name(f".{first.name}.{name}.tmp")
    try:
        descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            _write(descriptor, data)
        finally:
            os.close(descriptor)
        final = _take_first_free(path, placeholder)
        hidden.replace(final)
    except OSError:
        with contextlib.suppress(OSError):
            hidden.unlink()
        raise
    _sync_folder(final.parent)
    return final


def _take_first_free(path: str, placeholder: str) -> Path:
    for number in itertools.count():
        candidate = Path(path.replace(placeholder, f"_{number}", 1))
        with contextlib.suppress(FileExistsError):
            os.close(os.open(candidate, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
            return candidate
    raise AssertionError  # numbers do not end


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def _make_folder(folder: Path) -> None:
    """Make a folder with its parents, so that it survives a power cut."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
