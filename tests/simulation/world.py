"""A world: a configuration, what may happen in it, and what is promised there."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

PLACE: Final = "/PLACE"
"""What stands in a configuration for the folder of the schedule, which has `logs` and `state`."""


@dataclass(frozen=True)
class World:
    """Something to try schedules in."""

    name: str
    about: str
    config: str
    """Its text; `/PLACE` is the folder."""
    actions: tuple[str, ...]
    """Out of which all orders are tried."""
    lengths: tuple[int, ...] = (4, 4)
    """Actions of the longest ones, by pace: with so many all of them are tried within minutes."""
    also: tuple[str, ...] = ()
    """What random schedules have beside them."""
    opening: tuple[str, ...] = ("append", "start", "wait")
    """What every schedule begins with."""
    paces: tuple[float, ...] = (0.0, 3.0)
    """Seconds that pass after each action."""
    follows: tuple[str, ...] = ("app.log",)
    """Names that are followed, by shell patterns, with strftime's date in them."""
    excluded: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ("out",)
    """Peers of which each gets every line."""
    rescue: tuple[str, ...] = ()
    """Peers that get what another refuses."""
    ordered: bool = True
    """Whether lines of a file come in their order."""
    from_end: bool = False
    """Whether files that are there at the first start are read from their ends."""
    keeps: bool = False
    """Whether there are buffers in files."""
    attempts: int = 0
    """Attempts that are made before an event is given up which nobody has refused."""
    network: str = ""
    """Who is at the other end of a stream: a `server` that the first output forwards to, or a sender by `forward` or
    `http`, whose lines are in no file."""
    patience: float = 90.0
    """Seconds after the last action within which everything arrives."""
    slack: frozenset[str] = field(default_factory=frozenset)
    """Checks that do not hold here, by name."""

    def wants(self, name: str, now: int) -> bool:
        """Return whether a name is followed now, nanoseconds since the epoch."""
        patterns = (_at(each, now) if "%" in each else each for each in self.follows)
        return any(fnmatch.fnmatchcase(name, each) for each in patterns) and not self.leaves_out(name)

    def leaves_out(self, name: str) -> bool:
        """Return whether a name is excluded."""
        return any(fnmatch.fnmatchcase(name, each) for each in self.excluded)


def _at(pattern: str, now: int) -> str:
    return datetime.fromtimestamp(now / 1_000_000_000, UTC).strftime(pattern)
