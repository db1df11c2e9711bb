"""What changes in the folders of followed files, told by inotify; folders and not files are watched.

One watch covers every file of a folder, and hears of a rename or of a link that is set anew as well as of a write. A
symbolic link needs one more for each folder on its way. Where there is no inotify, or not for all folders, `blind` says
so and the files have to be looked at instead.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import logging
import os
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from logpipe.builtin.in_tail.folders import Kind, Step, bases
from logpipe.builtin.in_tail.table import Trail

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

_NAMES: Final = IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO
_WATCHED: Final = _NAMES | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR

_EVENT: Final = struct.Struct("iIII")
_BUFFER: Final = 256 * 1024


class Event(NamedTuple):
    """What happened to a name in a watched folder, as in inotify(7); the name is empty for the folder itself."""

    watch: int
    """What `Inotify.add` returned; -1 for IN_Q_OVERFLOW."""
    mask: int
    name: str
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
        watch: int = self._add(self.descriptor, os.fsencode(folder), _WATCHED)
        if watch < 0:
            raise _last_error(folder)
        return watch

    def remove(self, watch: int) -> None:
        """Watch a folder no longer; one that is gone is passed over."""
        self._remove(self.descriptor, watch)

    def read(self) -> Iterator[Event]:
        """Yield what happened since the last call, in its order; of writes one event for each name."""
        while True:
            try:
                data = os.read(self.descriptor, _BUFFER)
            except BlockingIOError:
                return
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

    def close(self) -> None:
        """Close the instance; safe to call twice."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _last_error(path: str | None = None) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), path)


PACE: Final = 0.025
"""Seconds between two reads of events: what a hot file does meanwhile is one event."""

_KINDS: Final = {
    IN_CREATE: Kind.MADE,
    IN_MOVED_FROM: Kind.LEFT,
    IN_MOVED_TO: Kind.CAME,
    IN_DELETE: Kind.DELETED,
}
_GONE: Final = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED

_WHY: Final = {
    errno.ENOSPC: "there are too many watches: raise fs.inotify.max_user_watches",
    errno.EMFILE: "there are too many instances: raise fs.inotify.max_user_instances",
    errno.ENFILE: "too many files are open on this machine",
    errno.ENOSYS: "this system has no inotify",
}


@dataclass(slots=True)
class Changes:
    """What happened since one asked last."""

    written: set[Trail] = field(default_factory=set)
    """Their files were written to."""
    steps: list[Step] = field(default_factory=list)
    """What happened to names, in its order."""
    void: set[str] = field(default_factory=set)
    """Folders of which events may be missing."""
    search: bool = False
    """Whether everything has to be looked for again: folders came or went, or events were lost."""


class Watch:
    """Watches the folders of trails."""

    def __init__(self, log: logging.Logger | logging.LoggerAdapter[Any]) -> None:
        self.blind = True
        """Whether something may happen that nobody reports."""
        self._log = log
        self._inotify: Inotify | None = None
        self._folders: dict[str, int] = {}
        self._bases: dict[int, dict[str, None]] = defaultdict(dict)
        self.searched: set[str] = set()
        """Folders in which files may appear."""
        self._followers: dict[str, dict[str, tuple[Trail, ...]]] = defaultdict(dict)
        self._warned = False
        self._changes = Changes()
        self.changed = asyncio.Event()
        """Set while there is something to take; whoever wants to be called, be it for nothing, may set it too."""

    def start(self) -> None:
        """Begin; where there is no inotify this says so, and everything else stays quiet."""
        try:
            self._inotify = Inotify()
        except OSError as error:
            self._go_blind(error)
            return
        self.blind = False
        asyncio.get_running_loop().add_reader(self._inotify.descriptor, self._read)

    def stop(self) -> None:
        """End; safe to call twice, and without `start`."""
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.descriptor)
            self._inotify.close()
        self._inotify = None
        self._folders.clear()
        self._bases.clear()

    def search_in(self, bases: set[str]) -> bool:
        """Watch the folders in which files may appear, and only them and those of trails; returns whether any is new.

        A folder is the text before its names: empty, or ending in a slash.
        """
        self.searched = bases
        new = [self._watch(base) for base in bases.union(self._followers) if base not in self._folders]
        for base in [base for base in self._folders if base not in bases and base not in self._followers]:
            self._unwatch(base)
        return any(new)

    def cover(self, bases: Iterable[str]) -> None:
        """Watch folders before anybody looks into them."""
        for base in bases:
            if base not in self._folders:
                self._watch(base)

    def covers(self, base: str) -> bool:
        """Return whether a folder is watched."""
        return base in self._folders

    def folder(self, base: str) -> str:
        """Return the name by which steps call a folder that may have several."""
        number = self._folders.get(base)
        return base if number is None else next(iter(self._bases[number]))

    def aliases(self, folder: str) -> tuple[str, ...]:
        """Return every name of a folder."""
        number = self._folders.get(folder)
        return (folder,) if number is None else tuple(self._bases[number])

    def followers(self, base: str, name: str) -> tuple[Trail, ...]:
        """Return the trails that lead through a name, or end there."""
        return self._followers.get(base, {}).get(name, ())

    def beside(self, base: str, name: str, archive_suffix: str) -> dict[Trail, str]:
        """Return the trails of whose file a name may be a rotation or a copy, and what that file is called."""
        return {
            trail: before
            for alias in self.aliases(base)
            for before in bases(name, archive_suffix)
            for trail in self.followers(alias, before)
            if trail.hops[-1] == (alias, before)
        }

    def follow(self, trail: Trail, hops: tuple[tuple[str, str], ...]) -> None:
        """Report what happens to a trail's path and to the links and the file it leads to."""
        if trail.hops == hops:
            return
        self.forget(trail)
        trail.hops = hops
        for base, name in hops:
            names = self._followers[base]
            names[name] = (*names.get(name, ()), trail)
        self.cover(base for base, _ in hops)

    def forget(self, trail: Trail) -> None:
        """Report nothing of a trail any more."""
        for base, name in trail.hops:
            names = self._followers.get(base, {})
            trails = tuple(each for each in names.pop(name, ()) if each is not trail)
            if trails:
                names[name] = trails
            if not names:
                self._followers.pop(base, None)
        trail.hops = ()

    def take(self) -> Changes:
        """Return all that has happened up to now."""
        if self._inotify is not None:
            for event in self._inotify.read():
                self._note(event)
        self.changed.clear()
        changes, self._changes = self._changes, Changes()
        return changes

    def _watch(self, base: str) -> bool:
        """Watch a folder; returns whether it is watched."""
        if self._inotify is None:
            return False
        try:
            number = self._inotify.add(base or ".")
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTDIR}:
                self._go_blind(error)
            return False
        self._folders[base] = number
        self._bases[number][base] = None
        return True

    def _unwatch(self, base: str) -> None:
        number = self._folders.pop(base)
        self._bases[number].pop(base, None)
        if not self._bases[number] and self._inotify is not None:
            del self._bases[number]
            self._inotify.remove(number)

    def _go_blind(self, error: OSError) -> None:
        self.blind = True
        if self._warned:
            return
        self._warned = True
        why = _WHY.get(error.errno or 0, os.strerror(error.errno or 0))
        text = "inotify does not watch %s: %s. Files are looked at once a second instead"
        self._log.warning(text, error.filename or "any folder", why)

    def _read(self) -> None:
        """Take what inotify has, then let it gather for a moment."""
        assert self._inotify is not None  # noqa: S101 - the reader is removed before it is closed
        for event in self._inotify.read():
            self._note(event)
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._inotify.descriptor)
        loop.call_later(PACE, self._read_again)

    def _read_again(self) -> None:
        if self._inotify is not None:
            asyncio.get_running_loop().add_reader(self._inotify.descriptor, self._read)

    def _note(self, event: Event) -> None:
        changes = self._changes
        if event.mask & IN_Q_OVERFLOW:
            changes.search = True
            changes.void.update(self._folders)
        elif event.mask & _GONE:
            changes.search = True
            changes.void.update(self._bases.get(event.watch, ()))
            if event.mask & IN_IGNORED:
                for base in self._bases.pop(event.watch, ()):
                    self._folders.pop(base, None)
        if event.name and (bases := self._bases.get(event.watch)):
            self._note_name(event, bases)
        if changes.written or changes.steps or changes.void or changes.search:
            self.changed.set()

    def _note_name(self, event: Event, bases: Iterable[str]) -> None:
        changes = self._changes
        for base in bases:
            changes.written.update(self.followers(base, event.name))
        kind = _KINDS.get(event.mask & ~IN_ISDIR)
        if kind is None:
            return
        if event.mask & IN_ISDIR:
            if kind in {Kind.MADE, Kind.CAME} and not self.searched.isdisjoint(bases):
                changes.search = True
        else:
            changes.steps.append(Step(next(iter(bases)), event.name, kind, event.cookie))
