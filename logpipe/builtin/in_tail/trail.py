"""One followed path: the generations of its file in order, and what belongs to the path rather than to a file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Final

from logpipe.builtin.in_tail.folders import Lying
from logpipe.builtin.in_tail.generation import Generation
from logpipe.builtin.in_tail.ledger import Ledger
from logpipe.builtin.in_tail.logfile import Head
from logpipe.builtin.position_file import Entry, Position, entry

_DOTS: Final = re.compile(r"\.{2,}")

MOST_ARRIVALS: Final = 64
"""Files beside a path that are remembered as its copies, should it be cut."""

MOST_CONTENTS: Final = 32

MOST_FINISHED: Final = 64
"""Finished generations a path remembers; more come only where files rotate several times a second."""


class State(Enum):
    """What the schedule does with a trail."""

    IDLE = auto()
    QUEUED = auto()
    BUSY = auto()
    PAUSED = auto()


class Trail:
    """A path and its generations, oldest first; the last one that was not replaced is what the path names now."""

    __slots__ = (
        "__weakref__",
        "_entry",
        "arrivals",
        "contents",
        "generations",
        "hops",
        "ledger",
        "name",
        "path",
        "refusals",
        "rewritten",
        "rewritten_at",
        "state",
        "tag",
        "wanted",
        "woken",
    )

    def __init__(self, path: str, tag: str) -> None:
        self.path = path
        self.name = shown(path)
        """The path as records and messages hold it."""
        self.tag = tag
        self.generations: list[Generation] = []
        self.ledger = Ledger()
        """The books of generations that were let go."""
        self.arrivals: dict[Lying, None] = {}
        """Files that came beside it and are nobody's: if it is cut, its copy is among them."""
        self.contents: tuple[tuple[Head, int], ...] = ()
        """Heads and sizes of what was read to its end and let go: should it be compressed then, it is known by them."""
        self._entry: Entry | None = None
        self.wanted = True
        """Whether the configuration names the path; if not, it is read to its end and let go."""
        self.hops: tuple[tuple[str, str], ...] = ()
        """Folder and name of the path and of every symbolic link on the way to the file."""
        self.state = State.IDLE
        self.woken = False
        """Whether something happened while it was busy."""
        self.refusals = 0
        """Batches refused in a row."""
        self.rewritten = 0
        """How often its file was written anew, never with calm in between."""
        self.rewritten_at = 0.0
        """When that was last, monotonic seconds."""

    @property
    def live(self) -> Generation | None:
        """The generation that the path names; None while there is no such file."""
        last = self.generations[-1] if self.generations else None
        return last if last is not None and last.replaced_at is None else None

    def arrive(self, lying: Lying) -> None:
        """Remember a file that came and is nobody's: it may be a copy of this one's."""
        self.arrivals[lying] = None
        while len(self.arrivals) > MOST_ARRIVALS:
            del self.arrivals[next(iter(self.arrivals))]

    def remember(self, head: Head, size: int) -> None:
        """Remember how something began that was read, and how long it was."""
        self.contents = (*self.contents[1 - MOST_CONTENTS :], (head, size))

    def next_stirred(self) -> Generation | None:
        """Return the oldest generation that may have something to read: a newer one waits for it."""
        return next((each for each in self.generations if each.stirred and not each.finished), None)

    def stir(self) -> None:
        """Note that every unfinished generation may have something to read."""
        for generation in self.generations:
            generation.stirred = not generation.finished

    def forget_finished(self, *, but: int) -> list[Generation]:
        """Let go of generations whose every receipt has settled, the oldest first and all `but` so many.

        Returns them; their rows leave the position file.
        """
        finished = [each for each in self.generations if each.finished and each.settlement.complete]
        over = finished[: max(0, len(finished) - but)]
        if over:
            self.generations = [each for each in self.generations if each not in over]
        return over

    @property
    def entry(self) -> Entry:
        """Its rows of the position file, the current generation's last: fluentd takes the last one."""
        if self._entry is None:
            self._entry = entry(generation.saved_as(self.path) for generation in self.generations)
        return self._entry

    def finished_rows(self) -> Iterator[Position]:
        """Yield the rows of generations of which nothing more is read."""
        return (each.saved_as(self.path) for each in self.generations if each.finished)

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
