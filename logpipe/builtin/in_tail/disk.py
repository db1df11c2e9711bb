"""Looks at the disk: where paths lead, what lies in a folder, which file a saved position is of.

Everything here blocks and runs in a thread (`in_one_visit`); the files that it opens belong to the caller.
"""
# ruff: noqa: PTH115, PTH116, PTH120
# Paths are the user's text and stay as written: pathlib would rewrite them.

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import struct
import sys
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias, TypeVar

from logpipe import Host
from logpipe.builtin.in_tail.archive import Archive
from logpipe.builtin.in_tail.decide import Ask, Doubtful, Place, Row
from logpipe.builtin.in_tail.folders import Found, Hops, Key, Who, close, key_of, looks_rotated, split_suffix
from logpipe.builtin.in_tail.logfile import Content, Head, Identity, LogFile, sound_size
from logpipe.builtin.position_file import Position

T = TypeVar("T")
R = TypeVar("R")

MOST_HOPS: Final = 16

MOST_LOOKS: Final = 10
"""How often to look again at what changed while it was looked at."""

_NO_ROOM: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}

Status: TypeAlias = os.stat_result | None
"""What a look at a path returned; None for what is no regular file."""


class Survey(NamedTuple):
    """What lies in a folder."""

    looked_at: int
    """When, nanoseconds since the epoch."""
    changed: int
    """The folder's own time of change, before it was read; 0 where it cannot be asked."""
    rotated: dict[str, Who]
    """Regular files whose names may be those of rotated ones, with their birth."""
    names: list[str]
    """All names, sorted."""
    inodes: dict[int, list[str]]
    """Names by inode, as the folder has them."""
    there: bool = True
    """Whether it could be listed."""


async def in_one_visit(host: Host, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return what a function that blocks returns of each item, in one visit to a thread; none is made for no items."""
    some = list(items)
    return await host.in_thread(_of_each, function, some) if some else []


def _of_each(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    return [function(item) for item in items]


def look(path: str) -> Status:
    """Return a regular file's status; None for anything else, and where there is nothing or no way there."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def hops_of(path: str) -> Hops:
    """Return folder and name of a path and of every symbolic link on the way to its file."""
    hops: list[tuple[str, str]] = []
    while len(hops) < MOST_HOPS:
        base, name = key_of(path)
        hops.append((sys.intern(base), name))
        try:
            target = os.readlink(path)
        except OSError:
            break
        path = target if target.startswith("/") else os.path.normpath(base + target)
    return tuple(hops)


def survey(base: str) -> Survey:
    """Return what lies in a folder."""
    looked_at = time.time_ns()
    rotated: dict[str, Who] = {}
    inodes: dict[int, list[str]] = {}
    names: list[str] = []
    changed, there = changed_at(base), False
    with contextlib.suppress(OSError), os.scandir(base or ".") as entries:
        for entry in entries:
            names.append(entry.name)
            inodes.setdefault(entry.inode(), []).append(entry.name)
        there = True
    for name in names:
        if looks_rotated(name) and (who := who_is(base + name)) is not None:
            rotated[name] = who
    names.sort()
    return Survey(looked_at, changed, rotated, names, inodes, there)


def changed_at(base: str) -> int:
    """Return when a folder changed last, 0 where it cannot be looked at."""
    try:
        return os.stat(base or ".").st_mtime_ns
    except OSError:
        return 0


def who_is(path: str) -> Who | None:
    """Return identity and birth of a file, None for what is no regular file or is gone."""
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return None
    return (Identity.of(status), born(path)) if stat.S_ISREG(status.st_mode) else None


def open_file(path: str, *, archive: bool = False) -> Found:
    """Open a file and read its head; raises OSError where that cannot be, or it is no regular file."""
    file: LogFile = Archive(path) if archive else LogFile(path)
    try:
        beginning, birth = file.beginning(), born(file.fileno())
        size = sound_size(file.size, beginning) if file.exact else file.size
        changed = os.fstat(file.fileno()).st_ctime_ns
        return Found(path, file.identity, birth, size, file.changed, changed, beginning, file)
    except OSError:
        file.close()
        raise


class Looker:
    """Opens files for decisions."""

    def __init__(self, archive_suffix: str = "", *, room: Callable[[], int]) -> None:
        """Take names with `archive_suffix` for compressed files; none if it is empty.

        Of the files that are found `room` stay open.
        """
        self._archive_suffix = archive_suffix
        self._room = room

    def open(self, path: str) -> Found | None:
        """Open what a name stands for itself; None for a link, and for what cannot be opened.

        Raises:
            OSError: there are too many open files.
        """
        is_archive = bool(self._archive_suffix) and path.endswith(self._archive_suffix)
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                return None
            return open_file(path, archive=is_archive)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise
            return None

    def places(self, asks: Iterable[Ask], held: int = 0) -> list[Place]:
        """Return what has become of paths; files for which there is no room, `held` being open, are closed again."""
        places: list[Place] = []
        room = self._room() - held
        for ask in asks:
            places.append(self._place(ask))
            files = places[-1].files
            close(files[max(0, room) :])
            room -= len(files)
        return places

    def _place(self, ask: Ask) -> Place:
        hops = hops_of(ask.path)
        now: Found | None = None
        error: OSError | None = None
        try:
            now = open_file(ask.path)
        except OSError as problem:
            error = problem
            if (status := look(ask.path)) is not None:  # it cannot be opened, but it is there
                now = Found(ask.path, Identity.of(status))
        except ValueError:  # no such name can be
            error = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), ask.path)
        end = "".join(hops[-1])
        before = tuple(found for path in ask.before if path != end and (found := self.open(path)) is not None)
        new = tuple(
            Doubtful(found, since, listed) for path, since, listed in ask.new if (found := self.open(path)) is not None
        )
        return Place(ask.path, hops, now, error, before, new)

    def rows(self, positions: Iterable[Position], surveys: dict[str, Survey], taken: set[Identity]) -> list[Row]:
        """Open the files that rows were written for, each once and none that is `taken`."""
        rows: list[Row] = []
        for position in positions:
            hops = hops_of(position.path)
            found = self._file_of(position, hops[-1], surveys, taken)
            taken.update([found.identity] if found is not None else [])
            rows.append(Row(position, found, hops))
        return rows

    def _file_of(
        self, row: Position, end: Key, surveys: dict[str, Survey], taken: Collection[Identity]
    ) -> Found | None:
        """Open the file of a row; what is renamed or compressed meanwhile is looked for again."""
        base, found = end[0], None
        here = surveys.get(base) or survey(base)
        for _ in range(MOST_LOOKS):
            surveys[base] = here
            found = self._find(row, end, here, taken)
            if found is not None or (here := survey(base)).names == surveys[base].names:
                break
        return found

    def _find(self, row: Position, end: Key, here: Survey, taken: Collection[Identity]) -> Found | None:
        """Open the file of a row under whatever name it has in its folder, or its copy."""
        base, name = end
        head = Head.parse(row.fingerprint)
        for other in here.inodes.get(row.inode, ()):
            if head is None and other != name and not looks_rotated(other):
                continue  # the inode alone does not tell
            if (found := self.open(base + other)) is None:
                continue
            fits = (head is None or head.begins(found.beginning)) and not (found.exact and found.size < row.offset)
            if fits and found.identity not in taken:
                return found
            close([found])
        return None if head is None else self.copy(end, Content(head, row.offset, b""), here.names, taken)

    def copy(self, end: Key, content: Content, names: Sequence[str], taken: Collection[Identity]) -> Found | None:
        """Open a file beside another one that holds what was read from that, to go on there."""
        base, name = end
        if not content.telling:
            return None
        for other in _beside(name, names):
            for found, holds in self.copies([base + other], content):
                if holds and found.identity not in taken:
                    return found
                close([found])
        return None

    def copies(self, paths: Iterable[str], content: Content) -> list[tuple[Found, bool]]:
        """Open files, each with whether it holds what was read of another one."""
        copies: list[tuple[Found, bool]] = []
        for found in filter(None, map(self.open, paths)):
            holds = False
            if found.file is not None and content.telling:
                with contextlib.suppress(OSError):
                    holds = found.file.holds(content)
            copies.append((found, holds))
        return copies


def _beside(name: str, names: Sequence[str]) -> Iterator[str]:
    """Yield those of the sorted names that begin as one does, without its suffix."""
    stem, _ = split_suffix(name)
    place = bisect_left(names, stem)
    while place < len(names) and names[place].startswith(stem):
        if names[place] != name:
            yield names[place]
        place += 1


class Reopening:
    """Opens files again that were closed while they had nothing to read; used by several threads at a time.

    A folder is listed once for all that are looked for in it, be they thousands.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listed: dict[str, tuple[int, dict[int, list[str]]]] = {}
        """When each folder was listed, on the monotonic clock in nanoseconds, and its paths by inode."""

    def forget(self) -> None:
        """Forget what lay in the folders: nobody looks for anything."""
        self._listed.clear()

    def open(self, form: type[LogFile], name: str, path: str, identity: Identity, birth: int, *, asked: int) -> LogFile:
        """Open a file by the name it had, or by whatever name it has now, in the folder that `path` leads to.

        Where no listing made since `asked` (nanoseconds, monotonic) has it, it is gone. Raises OSError where it is
        gone, or cannot be opened.
        """
        for candidate in self._candidates(name, path, identity.inode, asked):
            with contextlib.suppress(FileNotFoundError):
                file = form(candidate)
                if file.identity == identity and (not birth or born(file.fileno()) in {0, birth}):
                    return file
                file.close()
        raise FileNotFoundError(errno.ENOENT, "the file is gone", name)

    def _candidates(self, name: str, path: str, inode: int, asked: int) -> Iterator[str]:
        """Yield the name that a file had, then those that lead to its inode; its folder is searched only now."""
        yield name
        folder = os.path.dirname(os.path.realpath(path))
        if folder in self._listed:
            yield from self._names(folder, 0).get(inode, ())
        if names := self._names(folder, asked).get(inode):
            yield from names
            yield from self._names(folder, time.monotonic_ns()).get(inode, ())  # it was renamed since that listing

    def _names(self, folder: str, since: int) -> dict[int, list[str]]:
        """Return paths by inode, as they were at that time or later."""
        with self._lock:
            when, names = self._listed.get(folder, (-1, {}))
            if when < since:
                when, names = time.monotonic_ns(), defaultdict(list)
                with contextlib.suppress(OSError), os.scandir(folder) as entries:
                    for entry in entries:
                        names[entry.inode()].append(entry.path)
                self._listed[folder] = when, names
            return names


_AT_FDCWD: Final = -100
_AT_EMPTY_PATH: Final = 0x1000
_AT_SYMLINK_NOFOLLOW: Final = 0x100
_STATX_BTIME: Final = 0x800
_MASK_AND_BIRTH: Final = struct.Struct("=I76xqI")

_statx: Final[Callable[..., int] | None] = getattr(ctypes.CDLL(None, use_errno=True), "statx", None)
"""Linux's; a C library may have none."""


def born(target: str | int) -> int:
    """Return when a file was born, nanoseconds since the epoch; 0 where the disk does not know.

    With device and inode that names a file for good. A path's link is not followed; a descriptor will do as well.
    """
    if _statx is None:
        return 0
    buffer = ctypes.create_string_buffer(256)
    if isinstance(target, int):
        where = target, b"", _AT_EMPTY_PATH
    else:
        where = _AT_FDCWD, os.fsencode(target), _AT_SYMLINK_NOFOLLOW
    if _statx(*where, _STATX_BTIME, buffer):
        return 0
    mask, seconds, nanoseconds = _MASK_AND_BIRTH.unpack_from(buffer)
    return int(seconds * 1_000_000_000 + nanoseconds) if mask & _STATX_BTIME else 0
