"""Where reading begins: what the position file says of a path, and which files beside it hold its earlier content.

Everything here blocks and runs in a thread; what it opens belongs to the caller.
"""
# ruff: noqa: PTH115, PTH118, PTH120, PTH208
# Paths are the user's text and stay as written: pathlib would rewrite them.

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from logpipe.builtin.in_tail.logfile import Head, Identity, LogFile
from logpipe.builtin.in_tail.targets import look
from logpipe.builtin.position_file import Loaded, Position

MOST_HOPS: Final = 16
_COUNTED: Final = r"[.-][0-9][0-9T:._-]*"
_DATED: Final = r"[._-][0-9]{4}-?[0-9]{2}-?[0-9]{2}[0-9T:._-]*"
_TELLING: Final = 16
"""Bytes of head that are enough to find a copy by."""


class Start(NamedTuple):
    """One generation, open, and where to begin in it."""

    file: LogFile
    path: str
    offset: int
    head: Head


class Content(NamedTuple):
    """What was read of a file: enough to know it again."""

    head: Head
    offset: int
    mark: bytes
    """What stands right before `offset`; empty where unknown."""
    size: int = 0
    """Bytes that it held when last looked at."""

    def is_in(self, file: LogFile) -> bool:
        """Return whether a file holds it."""
        start = self.offset - len(self.mark)
        return (
            file.size >= self.offset
            and (self.head.begins(file.beginning()) or self._is_known_longer(file))
            and os.pread(file.fileno(), len(self.mark), start) == self.mark
        )

    def _is_known_longer(self, file: LogFile) -> bool:
        """Return whether a file ends within the head: it was written to after it was copied. Then the mark must do."""
        return file.size < self.head.length and len(self.mark) >= _TELLING


class Beginning(NamedTuple):
    """Where to begin with one path."""

    path: str
    older: list[Start]
    """Generations that were rotated away and are not read to their end, oldest first."""
    live: Start | None
    error: OSError | None
    """Why the file cannot be opened."""
    hops: tuple[tuple[str, str], ...]
    lost: Sequence[int] = ()
    """Offsets at which generations that are gone had been left."""
    claimed: Sequence[Position] = ()
    """The saved rows that this answers."""


class Copies(NamedTuple):
    """What copytruncate left beside a file that it cut."""

    own: Start | None
    """The copy of what was followed."""
    missed: list[Start]
    """Copies of what came and went since, oldest first."""


class Saved:
    """The rows of the position file that no file has claimed yet."""

    def __init__(self, loaded: Loaded) -> None:
        self.written_at = int(loaded.written_at * 1_000_000_000)
        """Nanoseconds since the epoch."""
        self._paths = frozenset(row.path for row in loaded.positions)
        self._by_path: dict[str, list[Position]] = {}
        self._by_inode: dict[int, list[Position]] = {}
        for row in loaded.positions:
            self._by_path.setdefault(row.path, []).append(row)
            self._by_inode.setdefault(row.inode, []).append(row)

    def rows(self, path: str) -> list[Position]:
        """Return the rows of a path that are not claimed, oldest generation first."""
        return self._by_path.get(path, [])

    def renamed(self, path: str, file: LogFile, beginning: bytes) -> Position | None:
        """Return the row of a file that had another name when it was written.

        Its head must be the saved one. fluentd saves none: then the name must have been in the same folder and lead
        elsewhere now.
        """
        for row in self._by_inode.get(file.identity.inode, ()):
            head = Head.parse(row.fingerprint)
            if head.begins(beginning) if head is not None else _was_beside(row.path, path, file.identity):
                return row
        return None

    def claim(self, rows: Iterable[Position]) -> None:
        """Take rows out: what they say is kept by generations from now on."""
        for row in rows:
            for rows_left in (self._by_path.get(row.path, []), self._by_inode.get(row.inode, [])):
                if row in rows_left:
                    rows_left.remove(row)

    def knew(self, path: str) -> bool:
        """Return whether the path had a row, claimed or not."""
        return path in self._paths

    def unclaimed(self) -> list[Position]:
        """Return the rows that no file has claimed."""
        return [row for rows in self._by_path.values() for row in rows]

    def drop(self) -> None:
        """Forget the rows that no file has claimed."""
        self._by_path.clear()
        self._by_inode.clear()


def begin(path: str, saved: Saved, *, new_at_end: bool) -> Beginning:
    """Open what a path names and decide where to begin.

    A file that the position file knows goes on where it was left; one that took a known file's place begins at 0; one
    that nothing is known of at its end if `new_at_end`, else at 0.
    """
    hops = hops_of(path)
    try:
        file, beginning = _open(path)
    except OSError as error:
        return Beginning(path, [], None, error, hops)
    rows = saved.rows(path)
    own = _own_row(rows, file, beginning) or saved.renamed(path, file, beginning)
    if own is not None:
        offset = own.offset if own.offset <= file.size else 0
    else:
        offset = file.size if new_at_end and not saved.knew(path) else 0
    live = Start(file, path, offset, Head.of(beginning))
    others = [row for row in rows if row is not own]
    older = dict(_find_rows(path, others, file.identity))
    lost = [row.offset for row in others if row not in older]
    starts = list(older.values())
    if saved.knew(path) and (own is None or not own.offset):
        # between the file of the newest row and this one there may have been others
        newest = older.get(rows[-1]) if rows else None
        after = saved.written_at if newest is None else min(saved.written_at, newest.file.changed)
        starts += _rotated_since(path, after, {file.identity, *(start.file.identity for start in starts)})
    return Beginning(path, starts, live, None, hops, lost, others if own is None else [*others, own])


def begin_all(paths: Iterable[str], saved: Saved, new_at_end: bool) -> list[Beginning]:  # noqa: FBT001 - a thread's call
    """Begin with several paths in one visit to a thread."""
    return [begin(path, saved, new_at_end=new_at_end) for path in paths]


def succeed(path: str, after: int, known: Collection[Identity]) -> Beginning:
    """Open what has taken a followed file's place, and the generations that came and went in between.

    `after` is a time, nanoseconds since the epoch, at which the followed file was still in its place.
    """
    hops = hops_of(path)
    try:
        file, beginning = _open(path)
    except OSError as error:
        return Beginning(path, [], None, error, hops)
    older = list(_rotated_since(path, after, {*known, file.identity}))
    return Beginning(path, older, Start(file, path, 0, Head.of(beginning)), None, hops)


def reopen(name: str, path: str, identity: Identity) -> LogFile:
    """Open a file that was closed while it had nothing to read: by the name it had, or by whatever name it has now.

    Raises:
        OSError: it is gone, or cannot be opened.
    """
    for candidate in _candidates(name, path, identity.inode):
        with contextlib.suppress(FileNotFoundError):
            file = LogFile(candidate)
            if file.identity == identity:
                return file
            file.close()
    raise FileNotFoundError(errno.ENOENT, "the file is gone", name)


def _candidates(name: str, path: str, inode: int) -> Iterator[str]:
    """Yield the name that a file had, then, searching the folder only now, those that lead to its inode."""
    yield name
    folder = os.path.dirname(os.path.realpath(path))
    for other in _names_of_inode(folder, inode):
        yield os.path.join(folder, other)


def find_copies(
    path: str, content: Content, after: int, known: Collection[Identity], begun: Collection[Identity]
) -> Copies:
    """Open the copies that copytruncate made of a file since `after`, as in `succeed`.

    Its own may be among the known files: taken for one that came and went, and read or not.
    """
    own = _find_copy(path, content, begun) or _find_whole_copy(path, content)
    if own is not None:
        known = {*known, own.file.identity}
    missed: list[Start] = []
    for start in _rotated_since(path, after, known):
        if content.offset and content.is_in(start.file):
            start.file.close()  # one more copy of the same
        else:
            missed.append(start)
    return Copies(own, missed)


def _find_whole_copy(path: str, content: Content) -> Start | None:
    """Open a file beside `path`, whatever is known of it, that holds all that was there."""
    copy = _find_copy(path, content, ())
    if copy is not None and copy.file.size < content.size:
        copy.file.close()
        return None
    return copy


def _find_copy(path: str, content: Content, known: Collection[Identity]) -> Start | None:
    """Open a file beside `path` that holds what was read from it, to go on there."""
    if not content.mark and content.head.length < _TELLING:
        return None
    folder, name = os.path.split(os.path.realpath(path))
    stem, _ = _split_suffix(name)
    for other in _names(folder):
        if not other.startswith(stem) or other == name:
            continue
        start = _open_start(os.path.join(folder, other), content.offset)
        if start is None:
            continue
        if start.file.identity not in known and content.is_in(start.file):
            return start
        start.file.close()
    return None


def hops_of(path: str) -> tuple[tuple[str, str], ...]:
    """Return folder and name of a path and of every symbolic link on the way to its file."""
    hops: list[tuple[str, str]] = []
    while len(hops) < MOST_HOPS:
        slash = path.rfind("/") + 1
        hops.append((sys.intern(path[:slash]), path[slash:]))
        try:
            target = os.readlink(path)
        except OSError:
            break
        path = target if target.startswith("/") else os.path.normpath(path[:slash] + target)
    return tuple(hops)


def _own_row(rows: list[Position], file: LogFile, beginning: bytes) -> Position | None:
    """Return the row that was written for this very file."""
    for row in reversed(rows):
        if row.inode != file.identity.inode or row.offset > file.size:
            continue
        head = Head.parse(row.fingerprint)
        # compat: in_tail.rb knows no heads: of its rows the last one of a path counts
        if head.begins(beginning) if head is not None else row is rows[-1]:
            return row
    return None


def _find_rows(path: str, rows: list[Position], live: Identity) -> Iterator[tuple[Position, Start]]:
    """Open the files that rows of rotated generations were written for."""
    known = {live}
    for row in rows:
        start = _find_row(path, row, known)
        if start is not None:
            known.add(start.file.identity)
            yield row, start


def _find_row(path: str, row: Position, known: Collection[Identity]) -> Start | None:
    """Open the file that a row was written for, under whatever name it has now, or its copy."""
    head = Head.parse(row.fingerprint)
    folder = os.path.dirname(os.path.realpath(path))
    for name in _names_of_inode(folder, row.inode):
        start = _open_start(os.path.join(folder, name), row.offset)
        if start is None:
            continue
        if start.file.identity not in known and (head is None or head.begins(start.file.beginning())):
            return start
        start.file.close()
    return None if head is None else _find_copy(path, Content(head, row.offset, b""), known)


def _rotated_since(path: str, after: int, known: Collection[Identity]) -> Iterator[Start]:
    """Open the files whose names say that they were rotated away from `path` and that were written after `after`."""
    folder, name = os.path.split(os.path.realpath(path))
    is_rotated = _rotation_names(name)
    found: list[tuple[int, str]] = []
    for other in _names(folder):
        status = look(os.path.join(folder, other)) if is_rotated.fullmatch(other) else None
        if status is not None and status.st_mtime_ns >= after and Identity.of(status) not in known:
            found.append((status.st_mtime_ns, other))
    for _, other in sorted(found, key=lambda each: (each[0], _youth(each[1]), each[1])):
        start = _open_start(os.path.join(folder, other), 0)
        if start is not None:
            yield start


def _youth(name: str) -> int:
    """Return what sorts names of files written at the same moment: logrotate counts up from the youngest."""
    number = name[len(name.rstrip("0123456789")) :]
    return -int(number) if 0 < len(number) < 8 else 0


def _rotation_names(name: str) -> re.Pattern[str]:
    """Return what logrotate, the kubelet and log libraries call a file that was `name`; not a compressed one."""
    stem, suffix = _split_suffix(name)
    return re.compile(f"{re.escape(name)}{_COUNTED}|{re.escape(stem)}{_DATED}{re.escape(suffix)}", re.ASCII)


def _split_suffix(name: str) -> tuple[str, str]:
    stem, dot, suffix = name.rpartition(".")
    return (stem, dot + suffix) if stem else (name, "")


def _open(path: str) -> tuple[LogFile, bytes]:
    """Open a file and read its head."""
    file = LogFile(path)
    try:
        return file, file.beginning()
    except OSError:
        file.close()
        raise


def _open_start(path: str, offset: int) -> Start | None:
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return None
        file, beginning = _open(path)
    except OSError:
        return None
    if file.size < offset:
        file.close()
        return None
    return Start(file, path, offset, Head.of(beginning))


def _was_beside(old: str, new: str, identity: Identity) -> bool:
    if os.path.dirname(old) != os.path.dirname(new):
        return False
    status = look(old)
    return status is None or Identity.of(status) != identity


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _names_of_inode(folder: str, inode: int) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.inode() == inode]
    except OSError:
        return []
