"""What lies in the folders of followed files, by name: kept up to date by what inotify tells, or by listing.

inotify tells each rename in its order. Followed by that, a file is known to have had a path's name however short a time
that was, and where it is now; nobody has to guess from names. Nothing here does any I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, NamedTuple

from logpipe.builtin.in_tail.logfile import Identity

MOST_HALVES: Final = 64
"""Renames whose other half is waited for: one of a file that was moved out of sight has none."""

MOST_MOVED: Final = 1024
"""Files that are remembered as moved while it is not sure that they were found."""


class Kind(Enum):
    """What happened to a name."""

    MADE = auto()
    LEFT = auto()
    CAME = auto()
    DELETED = auto()


class Step(NamedTuple):
    """One thing that happened to one name."""

    folder: str
    name: str
    kind: Kind
    cookie: int = 0
    """The same for both halves of a rename."""


Who = tuple[Identity, int]
"""Identity and birth of a file, nanoseconds since the epoch; 0 where the disk does not know."""


class Lying:
    """One file in a folder; who it is may not be known yet."""

    __slots__ = ("became", "folder", "last", "name", "who")

    def __init__(self, folder: str, name: str, who: Who | None = None) -> None:
        self.folder: str | None = folder
        """The folder, as the text before its names; None once it was deleted, or moved out of sight."""
        self.name = name
        self.last = folder + name
        """The path that it had last."""
        self.who = who
        self.became: Lying | None = None
        """The compressed file that took its place."""

    @property
    def path(self) -> str | None:
        """Where it is, compressed or not; None where it is gone."""
        if self.folder is None:
            return None if self.became is None else self.became.path
        return self.last

    def move(self, folder: str, name: str) -> None:
        """Note where it is now."""
        self.folder, self.name, self.last = folder, name, folder + name


class Folder:
    """The names in one folder that may matter: those of rotated files, and for a while those that have just come."""

    __slots__ = ("changed", "looked_at", "names")

    def __init__(self) -> None:
        self.names: dict[str, Lying] = {}
        self.looked_at = 0
        """When everything in it was known last, nanoseconds since the epoch; 0 is never."""
        self.changed = 0
        """The folder's own time of change at that look."""


Key = tuple[str, str]
"""A folder and a name in it."""


@dataclass(slots=True)
class Happened:
    """What became of the names of several folders since they were asked about last."""

    arrived: dict[Key, list[Lying]] = field(default_factory=dict)
    """All that had a name since then, in the order in which they came."""
    left: dict[Key, None] = field(default_factory=dict)
    """Names whose file went."""
    moved: dict[Lying, None] = field(default_factory=dict)
    """All that changed their place or were deleted."""
    opened: dict[str, set[Identity]] = field(default_factory=dict)
    """What was found and opened since then, by path."""

    def add(self, later: Happened) -> None:
        """Put what happened later behind this."""
        for key, some in later.arrived.items():
            self.arrived.setdefault(key, []).extend(some)
        self.left.update(later.left)
        self.moved.update(later.moved)

    def missed(self, path: str, key: Key) -> int:
        """Return how many files had the name `key`, to which `path` leads, and were gone before any look."""
        came = [each for each in dict.fromkeys(self.arrived.get(key, ())) if each.who is None]
        there = sum(each.path is not None for each in came)
        return max(0, len(came) - max(there, len(self.opened[path])))


class Folders:
    """All folders that matter to one `<source>`."""

    def __init__(self, who_was_at: Callable[[str, str], Who | None], *, archive_suffix: str = "") -> None:
        """Ask `who_was_at(folder, name)` who was at a name when nothing had happened yet.

        A file that is deleted beside one whose name has `archive_suffix` more was compressed to that.
        """
        self._archive_suffix = archive_suffix
        self.by_base: dict[str, Folder] = {}
        self._who_was_at = who_was_at
        self._moving: dict[int, Lying] = {}

    def at(self, base: str) -> Folder:
        """Return what is known of a folder."""
        folder = self.by_base.get(base)
        if folder is None:
            folder = self.by_base[base] = Folder()
        return folder

    def apply(self, steps: Iterable[Step], so_far: Happened) -> Happened:
        """Note what happened, in its order; `so_far` is what happened since anybody looked at the files themselves."""
        new = Happened()
        for base, name, kind, cookie in steps:
            names = self.at(base).names
            key = (base, name)
            if kind in {Kind.LEFT, Kind.DELETED}:
                lying = names.pop(name, None)
                if lying is None:
                    known = key not in so_far.left and key not in new.left
                    lying = Lying(base, name, self._who_was_at(base, name) if known else None)
                lying.folder = None
                new.left[key] = None
                new.moved[lying] = None
                if kind is Kind.LEFT:
                    self._moving[cookie] = lying
                elif self._archive_suffix:
                    lying.became = names.get(name + self._archive_suffix)
                continue
            arrived = self._moving.pop(cookie, None) if kind is Kind.CAME else None
            if arrived is None:
                arrived = Lying(base, name)
            else:
                arrived.move(base, name)
            displaced = names.get(name)
            if displaced is None and key not in so_far.left and key not in new.left:
                who = self._who_was_at(base, name) if kind is Kind.CAME else None
                displaced = Lying(base, name, who) if who is not None else None
            if displaced is not None:
                displaced.folder = None
                new.moved[displaced] = None
            new.left[key] = None
            names[name] = arrived
            new.moved[arrived] = None
            new.arrived.setdefault(key, []).append(arrived)
        return new

    def rest(self, happened: Happened, keep: Callable[[Lying], bool]) -> None:
        """Forget the names that came and need not be known on."""
        for cookie in list(self._moving)[:-MOST_HALVES]:
            del self._moving[cookie]
        for lying in happened.moved:
            if lying.folder is not None and not keep(lying):
                self.at(lying.folder).names.pop(lying.name, None)

    def known(self, base: str, *, but: Collection[str] = ()) -> set[tuple[int, int]]:
        """Return inode and birth of everything that lay in a folder at the last look, some names left out."""
        return {
            (each.who[0].inode, each.who[1])
            for name, each in self.at(base).names.items()
            if each.who is not None and name not in but
        }
