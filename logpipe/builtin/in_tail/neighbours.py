"""The files beside a followed one that hold its earlier content: renamed, copied, compressed.

Everything here blocks and runs in a thread; what it opens belongs to the caller.
"""
# ruff: noqa: PTH118, PTH120, PTH208
# Paths are the user's text and stay as written: pathlib would rewrite them.

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from logpipe.builtin.in_tail.archive import Archive
from logpipe.builtin.in_tail.logfile import NO_HEAD, TELLING, Content, Head, Identity, LogFile, Look
from logpipe.builtin.in_tail.targets import look
from logpipe.builtin.position_file import Position

_COUNTED: Final = r"[.-][0-9][0-9T:._-]*"
_DATED: Final = r"[._-][0-9]{4}-?[0-9]{2}-?[0-9]{2}[0-9T:._-]*"

MOST_LOOKS: Final = 10
"""How often to look again at what changed while it was looked at."""


class Start(NamedTuple):
    """One generation, open, and where to begin in it."""

    file: LogFile
    path: str
    offset: int
    beginning: bytes
    """As much of it as a fingerprint covers."""

    @property
    def head(self) -> Head:
        """The fingerprint."""
        return Head.of(self.beginning)

    def was(self, head: Head, size: int) -> bool:
        """Return whether it is the file that had its inode and this head and size, and not another one.

        A file that begins with a hole has no head to tell.
        """
        return head.begins(self.beginning) and (head.length > 0 or 0 < size == self.file.size)


class Known(NamedTuple):
    """What is, will be or was read of a path."""

    files: Mapping[Identity, tuple[Head, int] | None] = {}
    """None for those that are open; of others head and size: an inode is given to the next file once it is free."""
    contents: tuple[tuple[Head, LogFile | int], ...] = ()
    """Heads and sizes of what was rotated away or copied; where a file is still open it says itself how long it is."""

    def plus(self, *files: Identity) -> Known:
        """Return the same with some more open files."""
        return Known({**self.files, **dict.fromkeys(files)}, self.contents)

    def is_open(self, identity: Identity) -> bool:
        """Return whether a file is known for sure."""
        return identity in self.files and self.files[identity] is None

    def has(self, start: Start) -> bool:
        """Return whether a file is one of them, compressed or not, and not another one with its inode."""
        if start.file.identity in self.files:
            closed = self.files[start.file.identity]
            if closed is None or start.was(*closed):
                return True
        return isinstance(start.file, Archive) and self._has_content(start)

    def _has_content(self, start: Start) -> bool:
        """Return whether a compressed file holds what is or was read before it was compressed."""
        alike = [size for head, size in self.contents if head.begins(start.beginning)]
        return start.file.size in (size if isinstance(size, int) else _length(size) for size in alike)


class Neighbours:
    """Finds files by what they hold and by what they are called."""

    def __init__(self, *, archive_suffix: str = "") -> None:
        """Take names with `archive_suffix` for compressed files; none if it is empty."""
        self._archive_suffix = archive_suffix

    def of_row(self, path: str, row: Position, known: Known) -> Start | None:
        """Open the file that a row was written for, under whatever name it has now, or its copy."""
        return _first(_at_rest(path, lambda: self._of_row(path, row, known)))

    def _of_row(self, path: str, row: Position, known: Known) -> Iterator[Start]:
        head = Head.parse(row.fingerprint)
        folder = os.path.dirname(os.path.realpath(path))
        for name in names_of_inode(folder, row.inode):
            start = self._open(os.path.join(folder, name), row.offset)
            if start is None:
                continue
            if not known.has(start) and (head is None or head.begins(start.beginning)):
                yield start
                return
            start.file.close()
        if head is not None:
            yield from self._copy(path, Content(head, row.offset, b""), known.files.keys())

    def copy(self, path: str, content: Content, known: Collection[Identity]) -> Start | None:
        """Open a file beside `path` that holds what was read from it, to go on there."""
        return _first(_at_rest(path, lambda: self._copy(path, content, known)))

    def _copy(self, path: str, content: Content, known: Collection[Identity]) -> Iterator[Start]:
        if not content.mark and content.head.length < TELLING:
            return
        folder, name = os.path.split(os.path.realpath(path))
        stem, _ = _split_suffix(name)
        for other in _names(folder):
            if not other.startswith(stem) or other == name:
                continue
            start = self._open(os.path.join(folder, other), content.offset)
            if start is None:
                continue
            if start.file.identity not in known and start.file.holds(content):
                yield start
                return
            start.file.close()

    def whole_copy(self, path: str, content: Content) -> Start | None:
        """Open a file beside `path`, whatever is known of it, that holds all that was there."""
        copy = self.copy(path, content, ())
        if copy is not None and copy.file.size < content.size:
            copy.file.close()
            return None
        return copy

    def rotated_since(self, path: str, after: int, known: Known) -> list[Start]:
        """Open the files that were rotated away from `path`, by their names, and written after `after`."""
        return _at_rest(path, lambda: self._rotated_since(path, after, known))

    def _rotated_since(self, path: str, after: int, known: Known) -> Iterator[Start]:
        folder, name = os.path.split(os.path.realpath(path))
        names = _names(folder)
        is_rotated = _rotation_names(name, self._archive_suffix)
        found: list[tuple[int, int, str]] = []
        for other in names:
            status = look(os.path.join(folder, other)) if is_rotated.fullmatch(other) else None
            if status is None or status.st_mtime_ns < after or known.is_open(Identity.of(status)):
                continue
            plain = other.removesuffix(self._archive_suffix)
            if plain == other or plain not in names:  # else it is being compressed
                found.append((status.st_mtime_ns, _youth(plain), other))
        for _, _, other in sorted(found):
            start = self._open(os.path.join(folder, other), 0)
            if start is None:
                continue
            if known.has(start):
                start.file.close()
            else:
                yield start

    def _open(self, path: str, offset: int) -> Start | None:
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                return None
            is_archive = self._archive_suffix and path.endswith(self._archive_suffix)
            file: LogFile = Archive(path) if is_archive else LogFile(path)
        except OSError:
            return None
        try:
            beginning = file.beginning()
        except OSError:
            file.close()
            return None
        if file.exact and file.size < offset:
            file.close()
            return None
        return Start(file, path, offset, beginning)


def _at_rest(path: str, find: Callable[[], Iterable[Start]]) -> list[Start]:
    """Look until nothing beside a path was made, renamed or deleted meanwhile.

    What is renamed or compressed while its folder is read is met under neither name.
    """
    for _ in range(MOST_LOOKS):
        before = _beside(path)
        found = list(find())
        if _beside(path) == before:
            return found
        for start in found:
            start.file.close()
    return list(find())


def _beside(path: str) -> set[tuple[str, int]]:
    """Return name and inode of every file whose name begins as that of a path does."""
    folder, name = os.path.split(os.path.realpath(path))
    stem, _ = _split_suffix(name)
    try:
        with os.scandir(folder) as entries:
            return {(entry.name, entry.inode()) for entry in entries if entry.name.startswith(stem)}
    except OSError:
        return set()


def _first(found: list[Start]) -> Start | None:
    return found[0] if found else None


def names_of_inode(folder: str, inode: int) -> list[str]:
    """Return the names in a folder that lead to an inode."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.inode() == inode]
    except OSError:
        return []


def _length(file: LogFile) -> int | None:
    look_at_it = Look.at(file, NO_HEAD)
    return None if look_at_it is None else look_at_it.length


def _youth(name: str) -> int:
    """Return what sorts names of files written at the same moment: logrotate counts up from the youngest."""
    number = name[len(name.rstrip("0123456789")) :]
    return -int(number) if 0 < len(number) < 8 else 0


def _rotation_names(name: str, archive_suffix: str) -> re.Pattern[str]:
    """Return what logrotate, the kubelet and log libraries call a file that was `name`."""
    stem, suffix = _split_suffix(name)
    dated = f"{re.escape(stem)}{_DATED}{re.escape(suffix)}"
    return re.compile(f"(?:{re.escape(name)}{_COUNTED}|{dated})(?:{re.escape(archive_suffix)})?", re.ASCII)


def _split_suffix(name: str) -> tuple[str, str]:
    stem, dot, suffix = name.rpartition(".")
    return (stem, dot + suffix) if stem else (name, "")


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
