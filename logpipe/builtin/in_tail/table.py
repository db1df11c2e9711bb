"""Every followed path, and every file of theirs by identity: a file is in it once, however many paths lead to it.

A path's files are its *generations*, in order; what belongs to the path rather than to a file is its *trail*.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import Final

from logpipe.builtin.in_tail.folders import Found, Hops, Member
from logpipe.builtin.in_tail.generation import Generation, Ledger, Settlement
from logpipe.builtin.in_tail.logfile import Head, Identity, LogFile
from logpipe.builtin.position_file import Entry, entry

_DOTS: Final = re.compile(r"\.{2,}")

MOST_ARRIVALS: Final = 64
"""Files beside a path that are remembered as its copies, should it be cut."""

MOST_CONTENTS: Final = 32

MOST_FINISHED: Final = 64
"""Finished generations a path remembers; more come only where files rotate several times a second."""


@dataclass(slots=True, eq=False)
class Arrival:
    """That a file came beside a path: it may be a copy of what the path led to then, and hold what is owed of that."""

    beside: Generation | None
    came_at: int = field(default_factory=time.time_ns)
    """Nanoseconds since the epoch."""
    _most: int | None = None
    """How much of it a copy may hold; None until it was read to its end since."""

    def is_owed(self, generations: Collection[Generation]) -> bool:
        """Return whether the copy is all that holds something, should the file be cut; of the path's `generations`."""
        original = self.beside
        if original is None or original not in generations:  # it was seen to be cut, and its copy was looked for
            return False
        if self._most is None and (not original.pending or original.read_at > self.came_at):
            self._most = original.size
        return self._most is None or original.settlement.position < self._most


class State(Enum):
    """What the schedule does with a trail."""

    IDLE = auto()
    QUEUED = auto()
    BUSY = auto()
    PAUSED = auto()


@dataclass(slots=True, eq=False, weakref_slot=True)
class Trail:
    """A path and its generations, oldest first; the last one that was not replaced is what the path names now."""

    path: str
    tag: str
    name: str = field(init=False)
    """The path as records and messages hold it."""
    generations: list[Generation] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    """The books of generations that were let go."""
    arrivals: dict[Member, Arrival] = field(default_factory=dict)
    """Files that came beside it and are nobody's: if it is cut, its copy is among them."""
    contents: tuple[tuple[Head, int], ...] = ()
    """Heads and sizes of what was read to its end and let go: should it be compressed then, it is known by them."""
    wanted: bool = True
    """Whether the configuration names the path; if not, it is read to its end and let go."""
    hops: Hops = ()
    """Folder and name of the path and of every symbolic link on the way to the file; none while nobody watches."""
    state: State = State.IDLE
    woken: bool = False
    """Whether something happened while it was busy."""
    refusals: int = 0
    """Batches refused in a row."""
    rewritten: int = 0
    """How often its file was written anew, never with calm in between."""
    rewritten_at: float = 0.0
    """When that was last, monotonic seconds."""
    _entry: Entry | None = None

    def __post_init__(self) -> None:
        """Make the name that is shown."""
        self.name = shown(self.path)

    @property
    def live(self) -> Generation | None:
        """The generation that the path names; None while there is no such file."""
        last = self.generations[-1] if self.generations else None
        return last if last is not None and last.replaced_at is None else None

    def after(self, generation: Generation) -> Generation | None:
        """Return what came after a generation."""
        place = self.generations.index(generation) + 1
        return self.generations[place] if place < len(self.generations) else None

    def arrive(self, member: Member) -> None:
        """Remember a file that came and is nobody's: it may be a copy of this one's."""
        self.arrivals.setdefault(member, Arrival(self.live))
        while len(self.arrivals) > MOST_ARRIVALS:
            del self.arrivals[next(iter(self.arrivals))]

    @property
    def arrived(self) -> list[str]:
        """The paths that those of them had last that are not gone."""
        return [each.last for each in self.arrivals if each.path is not None]

    def remember(self, head: Head, size: int) -> None:
        """Remember how something began that was read, and how long it was."""
        self.contents = (*self.contents[1 - MOST_CONTENTS :], (head, size))

    def next_pending(self) -> Generation | None:
        """Return the oldest generation that may have something to read: a newer one waits for it."""
        return next((each for each in self.generations if each.pending and not each.finished), None)

    @property
    def done(self) -> list[Generation]:
        """The generations that are read and of which every receipt has settled, the oldest first."""
        return [each for each in self.generations if each.finished and each.settlement.complete]

    @property
    def entry(self) -> Entry:
        """Its rows of the position file, the current generation's last: fluentd takes the last one."""
        if self._entry is None:
            self._entry = entry(generation.saved_as(self.path) for generation in self.generations)
        return self._entry

    def moved(self) -> None:
        """Note that its rows are others than before."""
        self._entry = None


def shown(path: str) -> str:
    """Return a path as text that any output can write: a name's bytes that are not UTF-8 are replaced."""
    text = os.fsencode(path).decode("utf-8", "replace")
    return path if text == path else text


def tag_of(tag: str, path: str) -> str:
    """Return the tag of a path's events: the `*` in `tag` stands for the path with dots for slashes.

    compat: in_tail.rb splits `tag` at every `*` and takes the first two parts, so that a second `*` and what follows
    it are lost.
    """
    if "*" not in tag:
        return tag
    prefix, suffix = tag.split("*")[:2]
    return f"{prefix}{_DOTS.sub('.', shown(path).replace('/', '.')).removeprefix('.')}{suffix}"


class Table:
    """Puts generations to their paths, and takes them from there; no I/O."""

    def __init__(self, settled: Callable[[Trail], None]) -> None:
        """Call `settled` with a path whose rows of the position file have changed."""
        self.by_path: dict[str, Trail] = {}
        self.replaced: dict[Generation, Trail] = {}
        """Generations that were rotated away and may still have something to read."""
        self.owners: dict[tuple[Identity, int], tuple[Trail, Generation]] = {}
        """By identity and birth."""
        self._settled = settled

    def generations(self) -> Iterator[Generation]:
        """Yield every generation."""
        return (each for trail in self.by_path.values() for each in trail.generations)

    def owed(self) -> Iterator[tuple[int, int]]:
        """Yield inode and birth of the files that are followed, or not delivered to their end, and of their copies."""
        for trail in self.by_path.values():
            for each in trail.generations:
                if not (each.finished and each.settlement.complete):
                    yield each.identity.inode, each.born
            for member, arrival in trail.arrivals.items():
                if member.who is not None and arrival.is_owed(trail.generations):
                    yield member.who[0].inode, member.who[1]

    def live(self, path: str) -> Generation | None:
        """Return the generation that a path leads to."""
        trail = self.by_path.get(path)
        return None if trail is None else trail.live

    def has(self, identity: Identity, born: int) -> bool:
        """Return whether a file that was not opened is known, as far as that tells."""
        known = self.owners.get((identity, born))
        return known is not None and not known[1].gone

    def find(self, found: Found) -> tuple[Trail, Generation] | None:
        """Return whose a file is, and its generation; one with the inode of a file that is gone has none."""
        known = self.owners.get((found.identity, found.born))
        return known if known is not None and known[1].is_of(found) else None

    def add(
        self,
        trail: Trail,
        found: Found,
        offset: int,
        *,
        replaced_at: float | None = None,
        before: Generation | None = None,
        continues: Generation | None = None,
    ) -> Generation:
        """Return a new generation of a path: its newest, or one that was replaced, right before the live one.

        A replaced one may stand `before` another one instead. One that `continues` another one is read in a copy of its
        file: what is owed for that is owed for the copy from now on.
        """
        place = len(trail.generations)
        if replaced_at is not None and (successor := before or trail.live) is not None:
            place = trail.generations.index(successor)
        generation = Generation(
            found.identity,
            found.path,
            offset=offset,
            settlement=continues.settlement if continues else Settlement(offset, partial(self._settled, trail)),
            ledger=continues.ledger if continues else Ledger(before=offset),
            mark=continues.mark if continues else b"",
            born=found.born,
            size=found.size,
            modified=found.modified,
            head=found.head,
            form=LogFile if found.file is None else type(found.file),
            replaced_at=replaced_at,
        )
        trail.generations.insert(place, generation)
        self._own(trail, generation)
        if replaced_at is not None:
            self.replaced[generation] = trail
        return generation

    def _own(self, trail: Trail, generation: Generation) -> None:
        self.by_path[trail.path] = trail
        self.owners[generation.identity, generation.born] = (trail, generation)

    def left(self, path: str) -> Generation | None:
        """Return what a path that leads nowhere led to, if that was let go."""
        trail = self.by_path.get(path)
        last = trail.generations[-1] if trail is not None and trail.generations else None
        return last if last is not None and last.finished else None

    def set_aside(self, trail: Trail, live: Generation, *, now: float) -> None:
        """Note that a path leads to its live generation no more."""
        live.replaced_at = now
        live.pending = True
        self.replaced[live] = trail

    def take_over(self, trail: Trail, owner: Trail, generation: Generation, path: str) -> None:
        """Make a generation what a path leads to now."""
        owner.generations.remove(generation)
        owner.moved()
        self.replaced.pop(generation, None)
        generation.settlement.moved = partial(self._settled, trail)
        generation.inode_path = path
        generation.replaced_at = None
        generation.closing = False
        generation.finished = False
        generation.pending = True
        trail.generations.append(generation)
        self._own(trail, generation)

    def resume(self, trail: Trail, generation: Generation, path: str, *, now: float) -> None:
        """Note that something is to be read of a rotated generation that was finished, at `path`."""
        generation.inode_path = path
        generation.nameless = generation.kept = generation.closing = generation.finished = False
        self.set_aside(trail, generation, now=now)

    def finish(self, generation: Generation) -> None:
        """Note that nothing more is read of a generation; it stays until its receipts have settled."""
        generation.finished = True
        generation.pending = False
        self.replaced.pop(generation, None)

    def remove(self, trail: Trail, *generations: Generation) -> None:
        """Take generations out, and let their inodes be other files'."""
        trail.generations = [each for each in trail.generations if each not in generations]
        for generation in generations:
            self.replaced.pop(generation, None)
            owner = self.owners.get((generation.identity, generation.born))
            if owner is not None and owner[1] is generation:
                del self.owners[generation.identity, generation.born]
