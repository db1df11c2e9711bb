"""libsystemd's functions for journals, called by ctypes: sd-journal(3).

The library is loaded when the first journal is opened. A journal is used by one thread only.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from ctypes import CDLL, POINTER, PyDLL, byref, c_char_p, c_int, c_size_t, c_uint64, c_void_p, string_at
from pathlib import Path
from typing import Any, Final

from logpipe import LogpipeError, Record
from logpipe.codec import text_or_bytes

NAME: Final = "libsystemd.so.0"
INVALIDATED: Final = 2
"""What `process` returns where files came or went."""
_MOST_NAMES: Final = 4096
"""Names of fields that are remembered as text."""
_LONGEST_NAME: Final = 64
"""As long as journald lets them be."""


class JournalError(LogpipeError):
    """The journal cannot be read, or an entry of it."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(f"{what}: {os.strerror(-code)}")
        self.errno = -code


class Library:
    """The functions, declared.

    What may look for an entry or wait for the disk lets other threads run; what copies a field that has been found
    does not: a thread that lets go of the interpreter for each field gets it back thousands of times per batch, each
    time up to 5 ms later where the event loop is busy.

    Raises:
        LogpipeError: it cannot be loaded.
    """

    def __init__(self) -> None:
        try:
            free, held = CDLL(NAME), PyDLL(NAME)
        except OSError as problem:
            raise LogpipeError(
                f"{NAME} cannot be loaded ({problem}): install it (libsystemd0 on Debian and Ubuntu, systemd-libs on "
                "Red Hat and Fedora; there is none for Alpine)"
            ) from None

        def function(source: CDLL, name: str, *arguments: Any) -> Callable[..., int]:
            found: Any = getattr(source, f"sd_journal_{name}")
            found.restype, found.argtypes = c_int, (c_void_p, *arguments)
            return found  # type: ignore[no-any-return]

        self.open_directory = free.sd_journal_open_directory
        self.open_directory.argtypes = (POINTER(c_void_p), c_char_p, c_int)
        self.open_files = free.sd_journal_open_files
        self.open_files.argtypes = (POINTER(c_void_p), POINTER(c_char_p), c_int)
        self.close = free.sd_journal_close
        self.close.restype, self.close.argtypes = None, (c_void_p,)
        self.add_match = function(free, "add_match", c_char_p, c_size_t)
        self.add_disjunction = function(free, "add_disjunction")
        self.set_data_threshold = function(free, "set_data_threshold", c_size_t)
        self.get_fd = function(free, "get_fd")
        self.process = function(free, "process")
        self.seek_head = function(free, "seek_head")
        self.seek_tail = function(free, "seek_tail")
        self.seek_cursor = function(free, "seek_cursor", c_char_p)
        self.test_cursor = function(free, "test_cursor", c_char_p)
        self.next = function(free, "next")
        self.previous_skip = function(free, "previous_skip", c_uint64)
        self.get_cursor = function(held, "get_cursor", POINTER(c_char_p))
        self.get_realtime = function(held, "get_realtime_usec", POINTER(c_uint64))
        self.restart_data = held.sd_journal_restart_data
        self.restart_data.restype, self.restart_data.argtypes = None, (c_void_p,)
        fields = (POINTER(c_void_p), POINTER(c_size_t))
        self.enumerate_data = function(held, "enumerate_data", *fields)
        self.enumerate_available = self.enumerate_data
        """The same, and goes on behind what cannot be read; only from version 246 on."""
        if hasattr(held, "sd_journal_enumerate_available_data"):
            self.enumerate_available = function(held, "enumerate_available_data", *fields)
        self.free = CDLL(None).free
        self.free.restype, self.free.argtypes = None, (c_void_p,)


library: Final = functools.cache(Library)


def file_problem(path: Path) -> int:
    """Return why libsystemd does not read a file, as a number of `errno`; 0 where it does."""
    functions, handle = library(), c_void_p()
    paths = (c_char_p * 2)(os.fsencode(path), None)
    code: int = functions.open_files(byref(handle), paths, 0)
    if code >= 0:
        functions.close(handle)
    return max(0, -code)


class Journal:
    """The files of a folder, and a place in them.

    Args:
        path: the folder.
        matches: which entries are read, see `reader.Match`; none for all.
        limit: bytes of an entry's fields that are read, of those of journald (`_PID`) and of the others each.

    Raises:
        JournalError: it cannot be opened.
        LogpipeError: the library cannot be loaded.
    """

    def __init__(self, path: str, matches: Sequence[bytes | None], limit: int) -> None:
        self._functions = functions = library()
        self._limit = limit
        self._names: dict[bytes, str] = {}
        self._data, self._size, self._time = c_void_p(), c_size_t(), c_uint64()
        self._data_at, self._size_at, self._time_at = byref(self._data), byref(self._size), byref(self._time)
        self.cut = 0
        """Fields that were cut, or left out, because an entry was too long."""
        handle = c_void_p()
        self._checked(functions.open_directory(byref(handle), os.fsencode(path), 0), f"journal {path} cannot be opened")
        self._handle: c_void_p | None = handle
        try:
            self.descriptor = self._checked(functions.get_fd(handle), f"journal {path} cannot be followed")
            self._checked(functions.set_data_threshold(handle, limit), "set_data_threshold")
            for match in matches:
                if match is None:
                    self._checked(functions.add_disjunction(handle), "add_disjunction")
                else:
                    self._checked(functions.add_match(handle, match, len(match)), f"match {match!r}")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of all files; safe to call twice."""
        if self._handle is not None:
            self._functions.close(self._handle)
            self._handle = None

    def seek_head(self) -> None:
        """Go before the first entry."""
        self._checked(self._functions.seek_head(self._handle), "the head cannot be found")

    def seek_last(self) -> bool:
        """Go before the last entry; False, and to the head, where there is none."""
        self._checked(self._functions.seek_tail(self._handle), "the tail cannot be found")
        # before what comes next is where `next` has been called from: two back, or the head
        back = self._checked(self._functions.previous_skip(self._handle, 2), "the tail cannot be found")
        if back < 2:
            self.seek_head()
        return back > 0

    def seek(self, cursor: str) -> bool:
        """Go before the entry of a cursor, or where it was; False where it is no cursor."""
        found: int = self._functions.seek_cursor(self._handle, _encoded(cursor))
        return found >= 0

    def next_behind(self, cursor: str) -> bool:
        """Go to the next entry that is not that of a cursor; False where there is none yet."""
        if not self.next():
            return False
        is_there = self._checked(self._functions.test_cursor(self._handle, _encoded(cursor)), "not a cursor") > 0
        return self.next() if is_there else True

    def next(self) -> bool:
        """Go to the next entry; False where there is none yet."""
        return self._checked(self._functions.next(self._handle), "the next entry cannot be read") > 0

    def process(self) -> int:
        """Return what has happened since the last call: 0, 1 where entries have come, or INVALIDATED."""
        return self._checked(self._functions.process(self._handle), "the journal cannot be followed")

    def cursor(self) -> str:
        """Return the cursor of this entry."""
        found = c_char_p()
        self._checked(self._functions.get_cursor(self._handle, byref(found)), "an entry has no cursor")
        try:
            return (found.value or b"").decode()
        finally:
            self._functions.free(found)

    def time(self) -> int:
        """Return when journald received this entry, nanoseconds since the epoch."""
        self._checked(self._functions.get_realtime(self._handle, self._time_at), "an entry has no time")
        return self._time.value * 1000

    def fields(self, record: Record) -> int:
        """Put the fields of this entry into a record, and return how many bytes they have.

        Raises:
            JournalError: it is damaged; what could be read is in the record.
        """
        functions, handle, limit, names = self._functions, self._handle, self._limit, self._names
        data, size, data_at, size_at = self._data, self._size, self._data_at, self._size_at
        enumerate_data = functions.enumerate_data
        room, own_room, problem = limit, limit, 0
        functions.restart_data(handle)
        while code := enumerate_data(handle, data_at, size_at):
            if code < 0:
                problem = problem or code
                if functions.enumerate_available(handle, data_at, size_at) <= 0:
                    break
            length = size.value
            key, _, value = string_at(data.value or 0, min(length, limit)).partition(b"=")
            is_own = key[:1] == b"_"
            left = own_room if is_own else room
            if length > left:
                self.cut += 1
                if left <= len(key) + 1:
                    continue
                value, length = value[: left - len(key) - 1], left
            if is_own:
                own_room -= length
            else:
                room -= length
            name = names.get(key)
            if name is None:
                name = key.decode("utf-8", "replace")
                if len(names) < _MOST_NAMES and len(key) <= _LONGEST_NAME:
                    names[key] = name
            # compat: of a field that an entry has several times the last value, as systemd/journal.rb has it
            record[name] = text_or_bytes(value)
        if problem:
            raise JournalError("an entry is damaged", problem)
        return 2 * limit - room - own_room

    def _checked(self, code: int, what: str) -> int:
        if code < 0:
            raise JournalError(what, code)
        return code


def _encoded(cursor: str) -> bytes:
    return cursor.encode("utf-8", "replace")
