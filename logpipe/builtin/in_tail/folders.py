"""What lies in the folders of followed files, by name: kept up to date by what inotify tells, or by listing.

inotify tells each rename in its order. Followed by that, a file is known to have had a path's name however short a time
that was, and where it is now; nobody has to guess from names. Nothing here does any I/O.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache
from typing import Final, NamedTuple

from logpipe.builtin.in_tail.logfile import Head, Identity, LogFile

MOST_HALVES: Final = 64
"""Renames whose other half is waited for: one of a file that was moved out of sight has none."""

_COUNTED: Final = r"[.-][0-9][0-9T:._-]*"
_DATED: Final = r"[._-][0-9]{4}-?[0-9]{2}-?[0-9]{2}[0-9T:._-]*"
_NUMBER_WITHIN: Final = re.compile(r"[._-][0-9]", re.ASCII)
_PARTS: Final = re.compile(r"[._~-]")

Key = tuple[str, str]
"""A folder, as the text before its names (empty, or ending in a slash), and a name in it."""

Hops = tuple[Key, ...]
"""Folder and name of a path, and of every symbolic link on the way to its file."""

Who = tuple[Identity, int]
"""Identity and birth of a file, nanoseconds since the epoch; 0 where the disk does not know."""


# ---- what rotated files are called


def looks_rotated(name: str) -> bool:
    """Return whether a name may be that of a rotated file, whatever it was before."""
    return _NUMBER_WITHIN.search(name) is not None


@lru_cache(maxsize=4096)
def rotation_of(name: str, archive_suffix: str = "") -> re.Pattern[str]:
    """Return what logrotate, the kubelet and log libraries call a file that was `name`."""
    stem, suffix = split_suffix(name)
    dated = f"{re.escape(stem)}{_DATED}{re.escape(suffix)}"
    return re.compile(f"(?:{re.escape(name)}{_COUNTED}|{dated})(?:{re.escape(archive_suffix)})?", re.ASCII)


def bases(name: str, archive_suffix: str = "") -> Iterator[str]:
    """Yield the names that a file may have had, or have been copied from, before it was called `name`."""
    plain = name.removesuffix(archive_suffix) if archive_suffix else name
    _, suffix = split_suffix(plain)
    for found in _PARTS.finditer(name):
        if found.start():
            yield name[: found.start()]
            if (dated := name[: found.start()] + suffix) != name:
                yield dated


def youth(name: str) -> int:
    """Return what sorts names of files written at the same moment: logrotate counts up from the youngest."""
    number = name[len(name.rstrip("0123456789")) :]
    return -int(number) if 0 < len(number) < 8 else 0


def split_suffix(name: str) -> tuple[str, str]:
    """Return a name's part before its last dot, and the rest."""
    stem, dot, suffix = name.rpartition(".")
    return (stem, dot + suffix) if stem else (name, "")


def key_of(path: str) -> Key:
    """Return a path's folder and name."""
    slash = path.rfind("/") + 1
    return path[:slash], path[slash:]


# ---- files


class Found(NamedTuple):
    """A file as it was found under a name."""

    path: str
    identity: Identity
    born: int = 0
    """Nanoseconds since the epoch; 0 where the disk does not know."""
    size: int = 0
    modified: int = 0
    changed: int = 0
    """When it was written, renamed or linked last, nanoseconds since the epoch."""
    beginning: bytes = b""
    """As much of it as a fingerprint covers."""
    file: LogFile | None = None
    """The open file, which belongs to whoever decides; None where nothing is opened."""

    @property
    def head(self) -> Head:
        """The fingerprint."""
        return Head.of(self.beginning)

    @property
    def exact(self) -> bool:
        """Whether its size is known from the first; that of a compressed file is a guess until all was read."""
        return self.file is None or self.file.exact

    @property
    def age(self) -> tuple[int, int]:
        """What sorts files from the oldest to the youngest."""
        return self.modified, youth(self.path)

    def was(self, head: Head, size: int) -> bool:
        """Return whether it is the file that had its inode and this head and size, and not another one.

        A file that begins with a hole has no head to tell.
        """
        return head.begins(self.beginning) and (head.length > 0 or 0 < size == self.size)


def close(found: Iterable[Found]) -> None:
    """Close files that nobody takes."""
    for each in found:
        if each.file is not None:
            each.file.close()


@dataclass(slots=True, eq=False)
class Member:
    """One file in a folder."""

    folder: str
    """The folder in which it is, or was last."""
    name: str
    who: Who | None = None
    """None while that is not known."""
    there: bool = True
    """False once it was deleted, or moved out of sight."""
    became: Member | None = None
    """The compressed file that took its place."""
    was_there: bool = False
    """Whether it was there when its folder came to be watched, and was renamed before that was listed."""

    @property
    def key(self) -> Key:
        """The folder and the name that it had last."""
        return self.folder, self.name

    @property
    def last(self) -> str:
        """The path that it had last."""
        return self.folder + self.name

    @property
    def path(self) -> str | None:
        """Where it is, compressed or not; None where it is gone."""
        if self.there:
            return self.last
        return None if self.became is None else self.became.path

    def move(self, folder: str, name: str) -> None:
        """Note where it is now."""
        self.folder, self.name, self.there = folder, name, True


@dataclass(slots=True)
class Folder:
    """The names in one folder that may matter: those of rotated files, and for a while those that have just come."""

    names: dict[str, Member] = field(default_factory=dict)
    looked_at: int = 0
    """When everything in it was known last, nanoseconds since the epoch; 0 is never."""
    changed: int = 0
    """The folder's own time of change at that look."""


# ---- what happens to names


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


@dataclass(slots=True)
class Happened:
    """What became of the names of several folders since they were asked about last."""

    arrived: dict[Key, list[Member]] = field(default_factory=dict)
    """All that had a name since then, in the order in which they came."""
    left: dict[Key, None] = field(default_factory=dict)
    """Names whose file went."""
    moved: dict[Member, None] = field(default_factory=dict)
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
        self.by_base: dict[str, Folder] = defaultdict(Folder)
        """What is known of each folder."""
        self._archive_suffix = archive_suffix
        self._who_was_at = who_was_at
        self._moving: dict[int, Member] = {}

    def apply(self, steps: Iterable[Step], so_far: Happened) -> Happened:
        """Note what happened, in its order; `so_far` is what happened since anybody looked at the files themselves."""
        new = Happened()
        for base, name, kind, cookie in steps:
            names = self.by_base[base].names
            key = (base, name)
            is_first = key not in so_far.left and key not in new.left
            if kind in {Kind.LEFT, Kind.DELETED}:
                gone = names.pop(name, None)
                if gone is None:
                    who = self._who_was_at(base, name) if is_first else None
                    gone = Member(base, name, who, was_there=not self.by_base[base].looked_at)
                gone.there = False
                new.moved[gone] = None
                if kind is Kind.LEFT:
                    self._moving[cookie] = gone
                elif self._archive_suffix:
                    gone.became = names.get(name + self._archive_suffix)
            else:
                displaced = names.get(name)
                if displaced is None and is_first and kind is Kind.CAME:
                    who = self._who_was_at(base, name)
                    displaced = Member(base, name, who) if who is not None else None
                if displaced is not None:
                    displaced.there = False
                    new.moved[displaced] = None
                arrived = (self._moving.pop(cookie, None) if kind is Kind.CAME else None) or Member(base, name)
                arrived.move(base, name)
                names[name] = arrived
                new.moved[arrived] = None
                new.arrived.setdefault(key, []).append(arrived)
            new.left[key] = None
        return new

    def rest(self, happened: Happened, keep: Callable[[Member], bool]) -> None:
        """Forget the names that came and need not be known on."""
        for cookie in list(self._moving)[:-MOST_HALVES]:
            del self._moving[cookie]
        for member in happened.moved:
            if member.there and not keep(member):
                self.by_base[member.folder].names.pop(member.name, None)

    def listed(self, member: Member) -> Member:
        """Return what a list that was made since has in the place of a file that was told of: that is renamed later."""
        now = self.by_base[member.folder].names.get(member.name)
        return member if now is None or now.who != member.who else now

    def known(self, base: str, *, but: Collection[str] = ()) -> set[tuple[int, int]]:
        """Return inode and birth of everything that lay in a folder at the last look, some names left out."""
        return {
            (each.who[0].inode, each.who[1])
            for name, each in self.by_base[base].names.items()
            if each.who is not None and name not in but
        }
