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
from dataclasses import dataclass, field
from typing import Any, Final

from logpipe.builtin.in_tail import inotify
from logpipe.builtin.in_tail.inotify import Event, Inotify
from logpipe.builtin.in_tail.trail import Trail

PACE: Final = 0.025
"""Seconds between two reads of events: what a hot file does meanwhile is one event."""

_STRUCTURE: Final = inotify.IN_CREATE | inotify.IN_DELETE | inotify.IN_MOVED_FROM | inotify.IN_MOVED_TO
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
    moved: set[Trail] = field(default_factory=set)
    """Their paths may lead elsewhere."""
    appeared: set[str] = field(default_factory=set)
    """Paths that nobody follows yet."""
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
        self._bases: dict[int, set[str]] = defaultdict(set)
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

    def follow(self, trail: Trail, hops: tuple[tuple[str, str], ...]) -> None:
        """Report what happens to a trail's path and to the links and the file it leads to."""
        self.forget(trail)
        trail.hops = hops
        for base, name in hops:
            names = self._followers[base]
            names[name] = (*names.get(name, ()), trail)
            if base not in self._folders:
                self._watch(base)

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

    async def changes(self) -> Changes:
        """Wait until something happens, and return it."""
        await self._changed.wait()
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
        self._bases[number].add(base)
        return True

    def _unwatch(self, base: str) -> None:
        number = self._folders.pop(base)
        self._bases[number].discard(base)
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
        elif event.mask & _GONE:
            changes.search = True
            if event.mask & inotify.IN_IGNORED:
                for base in self._bases.pop(event.watch, ()):
                    self._folders.pop(base, None)
        for base in self._bases.get(event.watch, ()) if event.name else ():
            self._note_name(base, event)
        if changes.written or changes.moved or changes.appeared or changes.search:
            self._changed.set()

    def _note_name(self, base: str, event: Event) -> None:
        trails = self._followers.get(base, {}).get(event.name, ())
        structural = event.mask & _STRUCTURE
        self._changes.written.update(trails)
        if structural:
            self._changes.moved.update(trails)
        if event.mask & _ARRIVAL and base in self._searched:
            if event.mask & inotify.IN_ISDIR:
                self._changes.search = True
            elif not trails:
                self._changes.appeared.add(base + event.name)
