"""Linux's inotify, through the C library: the standard library has no binding."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

IN_MODIFY: Final = 0x2
IN_MOVED_FROM: Final = 0x40
IN_MOVED_TO: Final = 0x80
IN_CREATE: Final = 0x100
IN_DELETE: Final = 0x200
IN_DELETE_SELF: Final = 0x400
IN_MOVE_SELF: Final = 0x800
IN_UNMOUNT: Final = 0x2000
IN_Q_OVERFLOW: Final = 0x4000
IN_IGNORED: Final = 0x8000
IN_ONLYDIR: Final = 0x1000000
IN_ISDIR: Final = 0x40000000

_EVENT: Final = struct.Struct("iIII")
_BUFFER: Final = 256 * 1024


class Event(NamedTuple):
    """What happened to a name in a watched folder."""

    watch: int
    """What `Inotify.add` returned; -1 for IN_Q_OVERFLOW."""
    mask: int
    """What happened to the name, as bits."""
    name: str
    """Empty for the folder itself."""
    cookie: int = 0
    """The same for both halves of a rename, else 0."""


class Inotify:
    """One inotify instance.

    Raises:
        OSError: there are too many (EMFILE), or the system has none (ENOSYS).
    """

    def __init__(self) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        try:
            self._add, self._remove = library.inotify_add_watch, library.inotify_rm_watch
            descriptor = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except AttributeError:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
        if descriptor < 0:
            raise _last_error()
        self.descriptor: int = descriptor

    def add(self, folder: str) -> int:
        """Watch a folder; returns its number, the same one for the same folder under another name.

        Raises:
            OSError: it is no folder, cannot be read, or there are too many watches (ENOSPC).
        """
        mask = (
            IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR
        )
        watch: int = self._add(self.descriptor, os.fsencode(folder), mask)
        if watch < 0:
            raise _last_error(folder)
        return watch

    def remove(self, watch: int) -> None:
        """Watch a folder no longer; one that is gone is passed over."""
        self._remove(self.descriptor, watch)

    def read(self) -> Iterator[Event]:
        """Yield what happened since the last call, in its order; of writes one event for each name."""
        while data := self._read():
            written: set[tuple[int, bytes]] = set()
            place = 0
            while place < len(data):
                watch, mask, cookie, length = _EVENT.unpack_from(data, place)
                place += _EVENT.size + length
                key = (watch, data[place - length : place])
                if mask == IN_MODIFY:
                    if key in written:
                        continue
                    written.add(key)
                yield Event(watch, mask, os.fsdecode(key[1].rstrip(b"\0")), cookie)

    def _read(self) -> bytes:
        try:
            return os.read(self.descriptor, _BUFFER)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Close the instance; safe to call twice."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _last_error(path: str | None = None) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), path)
