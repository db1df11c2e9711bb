"""What changes in the folders of followed files, told by inotify; folders and not files are watched.

One watch covers every file of a folder, and hears of a rename or of a link that is set anew as well as of a write. A
symbolic link needs one more for each folder on its way. Where there is no inotify, or not for all folders, `blind` says
so and the files have to be looked at instead.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from logpipe.builtin.in_tail import inotify
from logpipe.builtin.in_tail.folders import Kind, Step
from logpipe.builtin.in_tail.inotify import Event, Inotify
from logpipe.builtin.in_tail.rotation_names import bases
from logpipe.builtin.in_tail.trail import Trail

PACE: Final = 0.025
"""Seconds between two reads of events: what a hot file does meanwhile is one event."""

_KINDS: Final = {
    inotify.IN_CREATE: Kind.MADE,
    inotify.IN_MOVED_FROM: Kind.LEFT,
    inotify.IN_MOVED_TO: Kind.CAME,
    inotify.IN_DELETE: Kind.DELETED,
}
_ARRIVAL: Final = inotify.IN_CREATE | inotify.IN_MOVED_TO
_GONE: Final = inotify.IN_DELETE_SELF | inotify.IN_MOVE_SELF | inotify.IN_UNMOUNT | inotify.IN_IGNORED

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

    def __bool__(self) -> bool:
        """Return whether anything happened."""
        return bool(self.written or self.steps or self.void or self.search)


class Watch:
    """Watches the folders of trails."""

    def __init__(self, log: logging.Logger | logging.LoggerAdapter[Any]) -> None:
        self.blind = True
        """Whether something may happen that nobody reports."""
        self._log = log
        self._inotify: Inotify | None = None
        self._folders: dict[str, int] = {}
        self._bases: dict[int, dict[str, None]] = defaultdict(dict)
        self._searched: set[str] = set()
        self._followers: dict[str, dict[str, tuple[Trail, ...]]] = defaultdict(dict)
        self._complained = False
        self._changes = Changes()
        self._changed = asyncio.Event()

    def start(self) -> None:
        """Begin; where there is no inotify this says so, and everything else stays quiet."""
        try:
            self._inotify = Inotify()
        except OSError as error:
            self._complain(error)
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
        self._searched = bases
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

    def is_searched(self, base: str) -> bool:
        """Return whether files may appear in a folder."""
        return base in self._searched

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

    async def wait(self) -> None:
        """Wait until something happens."""
        await self._changed.wait()

    def remind(self) -> None:
        """Let whoever waits come and take what has happened, be it nothing."""
        self._changed.set()

    def take(self) -> Changes:
        """Return all that has happened up to now."""
        if self._inotify is not None:
            for event in self._inotify.read():
                self._note(event)
        self._changed.clear()
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
                self._complain(error)
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

    def _complain(self, error: OSError) -> None:
        self.blind = True
        if self._complained:
            return
        self._complained = True
        why = _WHY.get(error.errno or 0, os.strerror(error.errno or 0))
        self._log.warning(
            "inotify does not watch %s: %s. Files are looked at once a second instead",
            error.filename or "any folder",
            why,
        )

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
        if event.mask & inotify.IN_Q_OVERFLOW:
            changes.search = True
            changes.void.update(self._folders)
        elif event.mask & _GONE:
            changes.search = True
            changes.void.update(self._bases.get(event.watch, ()))
            if event.mask & inotify.IN_IGNORED:
                for base in self._bases.pop(event.watch, ()):
                    self._folders.pop(base, None)
        if event.name and (bases := self._bases.get(event.watch)):
            self._note_name(event, bases)
        if changes:
            self._changed.set()

    def _note_name(self, event: Event, bases: Iterable[str]) -> None:
        changes = self._changes
        for base in bases:
            changes.written.update(self.followers(base, event.name))
        kind = _KINDS.get(event.mask & ~inotify.IN_ISDIR)
        if kind is None:
            return
        if event.mask & inotify.IN_ISDIR:
            if kind in {Kind.MADE, Kind.CAME} and any(base in self._searched for base in bases):
                changes.search = True
        else:
            changes.steps.append(Step(next(iter(bases)), event.name, kind, event.cookie))
