"""When a file was born, by Linux's statx: with device and inode that names a file for good, where the disk knows it."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable
from typing import Final

_AT_FDCWD: Final = -100
_AT_EMPTY_PATH: Final = 0x1000
_AT_SYMLINK_NOFOLLOW: Final = 0x100
_STATX_BTIME: Final = 0x800
_MASK_AND_BIRTH: Final = struct.Struct("=I76xqI")
_SIZE: Final = 256


def _find() -> Callable[..., int] | None:
    try:
        function: Callable[..., int] = ctypes.CDLL(None, use_errno=True).statx
    except (AttributeError, OSError):
        return None
    return function


_statx: Final = _find()


def born(target: str | int) -> int:
    """Return nanoseconds since the epoch, for a path (links are not followed) or a descriptor; 0 where unknown."""
    if _statx is None:
        return 0
    buffer = ctypes.create_string_buffer(_SIZE)
    if isinstance(target, int):
        failed = _statx(target, b"", _AT_EMPTY_PATH, _STATX_BTIME, buffer)
    else:
        failed = _statx(_AT_FDCWD, os.fsencode(target), _AT_SYMLINK_NOFOLLOW, _STATX_BTIME, buffer)
    if failed:
        return 0
    mask, seconds, nanoseconds = _MASK_AND_BIRTH.unpack_from(buffer)
    return int(seconds * 1_000_000_000 + nanoseconds) if mask & _STATX_BTIME else 0
