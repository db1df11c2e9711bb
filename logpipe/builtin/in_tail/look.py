"""Looks at the disk: where paths lead, what lies in a folder, which file a saved position is of.

Everything here blocks and runs in a thread; the files that it opens belong to the caller.
"""
# ruff: noqa: PTH115, PTH116, PTH120
# Paths are the user's text and stay as written: pathlib would rewrite them.

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from logpipe.builtin.in_tail.archive import Archive
from logpipe.builtin.in_tail.birth import born
from logpipe.builtin.in_tail.difference import Beginning, Doubtful, Found, Hops, Place, Row
from logpipe.builtin.in_tail.folders import Who
from logpipe.builtin.in_tail.logfile import Content, Head, Identity, LogFile, sound_size
from logpipe.builtin.in_tail.rotation_names import looks_rotated, split_suffix
from logpipe.builtin.in_tail.saved import Saved
from logpipe.builtin.position_file import Position

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


class Candidate(NamedTuple):
    """A file that may have had a path's name, as in `Doubtful`."""

    path: str
    since: int
    listed: bool


class Ask(NamedTuple):
    """What to look at for a path."""

    path: str
    before: tuple[str, ...] = ()
    """Where the files are that had its name."""
    new: tuple[Candidate, ...] = ()


def look(path: str) -> Status:
    """Return a regular file's status; None for anything else, and where there is nothing or no way there."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def look_all(paths: Iterable[str]) -> list[Status]:
    """Return the status of several paths, None for those that lead to no regular file."""
    return [look(path) for path in paths]


def hops_of(path: str) -> Hops:
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


def all_hops(paths: Iterable[str]) -> list[Hops]:
    """Return the hops of several paths."""
    return [hops_of(path) for path in paths]


def survey(bases: Iterable[str]) -> dict[str, Survey]:
    """Return what lies in several folders."""
    return {base: _survey(base) for base in bases}


def _survey(base: str) -> Survey:
    looked_at = time.time_ns()
    rotated: dict[str, Who] = {}
    inodes: dict[int, list[str]] = {}
    names: list[str] = []
    (changed,) = changed_at([base])
    with contextlib.suppress(OSError), os.scandir(base or ".") as entries:
        for entry in entries:
            names.append(entry.name)
            inodes.setdefault(entry.inode(), []).append(entry.name)
    for name in names:
        if looks_rotated(name) and (who := who_is(base + name)) is not None:
            rotated[name] = who
    names.sort()
    return Survey(looked_at, changed, rotated, names, inodes)


def changed_at(bases: Iterable[str]) -> list[int]:
    """Return when folders changed last, 0 where they cannot be asked."""
    times: list[int] = []
    for base in bases:
        try:
            times.append(os.stat(base or ".").st_mtime_ns)
        except OSError:
            times.append(0)
    return times


def who_is(path: str) -> Who | None:
    """Return identity and birth of a file, None for what is no regular file or is gone."""
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return None
    return (Identity.of(status), born(path)) if stat.S_ISREG(status.st_mode) else None


def who_are(paths: Iterable[str]) -> list[Who | None]:
    """Return identity and birth of several files."""
    return [who_is(path) for path in paths]


def open_file(path: str, *, archive: bool = False) -> Found:
    """Open a file and read its head.

    Raises:
        OSError: it cannot be opened or read, or is no regular file.
    """
    file: LogFile = Archive(path) if archive else LogFile(path)
    try:
        beginning = file.beginning()
        status = os.fstat(file.fileno())
        return Found(
            path,
            file.identity,
            born(file.fileno()),
            sound_size(file.size, beginning) if file.exact else file.size,
            file.changed,
            status.st_ctime_ns,
            beginning,
            file,
        )
    except OSError:
        file.close()
        raise


class Looker:
    """Opens files for decisions."""

    def __init__(self, *, archive_suffix: str = "", room: Callable[[], int]) -> None:
        """Take names with `archive_suffix` for compressed files; none if it is empty.

        Of the files that are found `room` stay open.
        """
        self.archive_suffix = archive_suffix
        self._room = room

    def open(self, path: str) -> Found | None:
        """Open what a name stands for itself; None for a link, and for what cannot be opened.

        Raises:
            OSError: there are too many open files.
        """
        is_archive = bool(self.archive_suffix) and path.endswith(self.archive_suffix)
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
            place = self._place(ask)
            places.append(place)
            close(place.files[max(0, room) :])
            room -= len(place.files)
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

    def beginnings(
        self, places: Iterable[Place], arrived: Collection[str], saved: Saved, surveys: dict[str, Survey]
    ) -> list[Beginning]:
        """Return what the saved positions say of paths that are to be followed."""
        return [self._begin(place, saved, surveys, arrived=place.path in arrived) for place in places]

    def _begin(self, place: Place, saved: Saved, surveys: dict[str, Survey], *, arrived: bool) -> Beginning:
        now = place.now
        if now is None or place.error is not None:
            return Beginning(place, None, (), known=False)
        own = saved.own(place.path, now, _leads_elsewhere)
        others = [row for row in saved.rows(place.path) if row is not own]
        rows: list[Row] = []
        taken = {now.identity}
        for row in others:
            found = self.file_of(row, place.hops[-1], surveys, taken)
            taken.update([found.identity] if found is not None else [])
            rows.append(Row(row, found))
        return Beginning(place, own, tuple(rows), known=saved.knew(place.path), arrived=arrived)

    def file_of(
        self, row: Position, end: tuple[str, str], surveys: dict[str, Survey], but: Collection[Identity]
    ) -> Found | None:
        """Open the file that a row was written for; what is renamed or compressed meanwhile is looked for again."""
        base, _ = end
        here = surveys.get(base) or _survey(base)
        for _ in range(MOST_LOOKS):
            surveys[base] = here
            found = self._of_row(end, row, here, but)
            if found is not None:
                return found
            here = _survey(base)
            if here.names == surveys[base].names:
                break
        return None

    def _of_row(self, end: tuple[str, str], row: Position, here: Survey, but: Collection[Identity]) -> Found | None:
        """Open the file that a row was written for, under whatever name it has in its folder, or its copy."""
        base, name = end
        head = Head.parse(row.fingerprint)
        for other in here.inodes.get(row.inode, ()):
            if head is None and other != name and not looks_rotated(other):
                continue  # the inode alone does not tell
            found = self.open(base + other)
            if found is None:
                continue
            fits = (head is None or head.begins(found.beginning)) and not (found.exact and found.size < row.offset)
            if fits and found.identity not in but:
                return found
            close([found])
        if head is None:
            return None
        return self.copy(base, name, Content(head, row.offset, b""), here.names, but)

    def copy(
        self, base: str, name: str, content: Content, names: Sequence[str], but: Collection[Identity]
    ) -> Found | None:
        """Open a file beside another one that holds what was read from that, to go on there."""
        if not content.telling:
            return None
        for found, holds in self.copies((base + other for other in beside(name, names)), content):
            if holds and found.identity not in but:
                return found
            close([found])
        return None

    def copies(self, paths: Iterable[str], content: Content) -> Iterator[tuple[Found, bool]]:
        """Open files one by one, each with whether it holds what was read of another one."""
        for path in paths:
            if (found := self.open(path)) is not None:
                yield found, content.telling and _holds(found, content)


def _holds(found: Found, content: Content) -> bool:
    """Return whether a file holds what was read of another one."""
    try:
        return found.file is not None and found.file.holds(content)
    except OSError:
        return False


def beside(name: str, names: Sequence[str]) -> Iterator[str]:
    """Yield those of the sorted names that begin as one does, without its suffix."""
    stem, _ = split_suffix(name)
    place = bisect_left(names, stem)
    while place < len(names) and names[place].startswith(stem):
        if names[place] != name:
            yield names[place]
        place += 1


def reopen(form: type[LogFile], name: str, path: str, identity: Identity, birth: int) -> LogFile:
    """Open a file that was closed while it had nothing to read: by the name it had, or by whatever name it has now.

    Raises:
        OSError: it is gone, or cannot be opened.
    """
    for candidate in _candidates(name, path, identity.inode):
        with contextlib.suppress(FileNotFoundError):
            file = form(candidate)
            if file.identity == identity and (not birth or born(file.fileno()) in {0, birth}):
                return file
            file.close()
    raise FileNotFoundError(errno.ENOENT, "the file is gone", name)


def _candidates(name: str, path: str, inode: int) -> Iterator[str]:
    """Yield the name that a file had, then, searching the folder only now, those that lead to its inode."""
    yield name
    folder = os.path.dirname(os.path.realpath(path))
    try:
        with os.scandir(folder) as entries:
            yield from [entry.path for entry in entries if entry.inode() == inode]
    except OSError:
        return


def close(found: Iterable[Found]) -> None:
    """Close files that nobody takes."""
    for each in found:
        if each.file is not None:
            each.file.close()


def _leads_elsewhere(path: str, identity: Identity) -> bool:
    status = look(path)
    return status is None or Identity.of(status) != identity
