"""Where reading begins: what the position file says of a path, and which files beside it hold its earlier content.

Everything here blocks and runs in a thread; what it opens belongs to the caller.
"""
# ruff: noqa: PTH115, PTH118, PTH120
# Paths are the user's text and stay as written: pathlib would rewrite them.

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from logpipe.builtin.in_tail.logfile import Content, Head, Identity, LogFile
from logpipe.builtin.in_tail.neighbours import MOST_LOOKS, Known, Neighbours, Start, names_of_inode
from logpipe.builtin.in_tail.targets import look
from logpipe.builtin.position_file import Loaded, Position

MOST_HOPS: Final = 16

_UNNOTICED: Final = 2_000_000_000
"""Nanoseconds by which the rows may be older than the file that holds them: rotations are seen a moment later."""

CLOCK_GRAIN: Final = 10_000_000
"""Nanoseconds by which a file's times may lag behind the clock: the kernel's, which is why no other is asked here."""


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
        self.written_at = int(loaded.written_at * 1_000_000_000) - _UNNOTICED
        """A time, nanoseconds since the epoch, before which nothing was written that the rows do not tell of."""
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


class History:
    """Decides where to begin."""

    def __init__(self, neighbours: Neighbours) -> None:
        self._neighbours = neighbours

    def begin_all(self, paths: Iterable[str], saved: Saved, new_at_end: bool) -> list[Beginning]:  # noqa: FBT001 - a thread's call
        """Begin with several paths in one visit to a thread."""
        return [self.begin(path, saved, new_at_end=new_at_end) for path in paths]

    def begin(self, path: str, saved: Saved, *, new_at_end: bool) -> Beginning:
        """Open what a path names and decide where to begin; a path that is rotated meanwhile is looked at again."""
        return _at_rest(lambda: self._begin(path, saved, new_at_end=new_at_end))

    def _begin(self, path: str, saved: Saved, *, new_at_end: bool) -> Beginning:
        """Open what a path names and decide where to begin.

        A file that the position file knows goes on where it was left; one that took a known file's place begins at 0;
        one that nothing is known of at its end if `new_at_end`, else at 0.
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
        live = Start(file, path, offset, beginning)
        others = [row for row in rows if row is not own]
        older = dict(self._of_rows(path, others, file.identity))
        lost = [row.offset for row in others if row not in older]
        starts = list(older.values())
        if saved.knew(path) and (own is None or not own.offset):
            # between the file of the newest row and this one there may have been others
            newest = older.get(rows[-1]) if rows else None
            after = saved.written_at if newest is None else min(saved.written_at, newest.file.changed)
            known = Known().plus(file.identity, *(start.file.identity for start in starts))
            starts += self._neighbours.rotated_since(path, after, known)
        return Beginning(path, starts, live, None, hops, lost, others if own is None else [*others, own])

    def _of_rows(self, path: str, rows: list[Position], live: Identity) -> Iterator[tuple[Position, Start]]:
        """Open the files that rows of rotated generations were written for."""
        known = Known().plus(live)
        for row in rows:
            start = self._neighbours.of_row(path, row, known)
            if start is not None:
                known = known.plus(start.file.identity)
                yield row, start

    def succeed(self, path: str, after: int, known: Known) -> Beginning:
        """Open what has taken a followed file's place, and the generations that came and went in between.

        `after` is a time, nanoseconds since the epoch, at which the followed file was still in its place.
        """
        return _at_rest(lambda: self._succeed(path, after, known))

    def _succeed(self, path: str, after: int, known: Known) -> Beginning:
        hops = hops_of(path)
        try:
            file, beginning = _open(path)
        except OSError as error:
            return Beginning(path, [], None, error, hops)
        older = self._neighbours.rotated_since(path, after, known.plus(file.identity))
        return Beginning(path, older, Start(file, path, 0, beginning), None, hops)

    def find_copies(self, path: str, content: Content, after: int, known: Known, begun: Collection[Identity]) -> Copies:
        """Open the copies that copytruncate made of a file since `after`, as in `succeed`.

        Its own may be among the known files: taken for one that came and went, and read or not.
        """
        own = self._neighbours.copy(path, content, begun) or self._neighbours.whole_copy(path, content)
        if own is not None:
            known = known.plus(own.file.identity)
        missed: list[Start] = []
        for start in self._neighbours.rotated_since(path, after, known):
            if content.offset and start.file.holds(content):
                start.file.close()  # one more copy of the same
            else:
                missed.append(start)
        return Copies(own, missed)

    def find_copy(self, path: str, content: Content, begun: Collection[Identity]) -> Start | None:
        """Open a copy of a file that is gone."""
        return self._neighbours.copy(path, content, begun)


def _at_rest(look_around: Callable[[], Beginning]) -> Beginning:
    """Look until a path leads to the same file before and after.

    A rotation in the midst of it would put what came later among what went before.
    """
    for _ in range(MOST_LOOKS):
        beginning = look_around()
        live = beginning.live
        if live is None or ((status := look(live.path)) is not None and Identity.of(status) == live.file.identity):
            return beginning
        for start in (*beginning.older, live):
            start.file.close()
    return look_around()


def reopen(form: type[LogFile], name: str, path: str, identity: Identity) -> LogFile:
    """Open a file that was closed while it had nothing to read: by the name it had, or by whatever name it has now.

    Raises:
        OSError: it is gone, or cannot be opened.
    """
    for candidate in _candidates(name, path, identity.inode):
        with contextlib.suppress(FileNotFoundError):
            file = form(candidate)
            if file.identity == identity:
                return file
            file.close()
    raise FileNotFoundError(errno.ENOENT, "the file is gone", name)


def _candidates(name: str, path: str, inode: int) -> Iterator[str]:
    """Yield the name that a file had, then, searching the folder only now, those that lead to its inode."""
    yield name
    folder = os.path.dirname(os.path.realpath(path))
    for other in names_of_inode(folder, inode):
        yield os.path.join(folder, other)


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


def _open(path: str) -> tuple[LogFile, bytes]:
    """Open a file and read its head."""
    file = LogFile(path)
    try:
        return file, file.beginning()
    except OSError:
        file.close()
        raise


def _was_beside(old: str, new: str, identity: Identity) -> bool:
    if os.path.dirname(old) != os.path.dirname(new):
        return False
    status = look(old)
    return status is None or Identity.of(status) != identity
