"""Where a case takes place: its generator of chance, its folders, its brokers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

BROKERS: Final = "localhost:1"
"""What stands for the brokers of a case until there are some."""
SERVER: Final = "http://localhost:2"
"""What stands for the HTTP server of a case until there is one."""

FORWARD_PORT: Final = "24299"
"""What stands for the port of a case's forward server until there is one."""


@dataclass
class Place:
    """One case's surroundings; everything that it may write lies below `root`/allowed."""

    random: Random
    root: Path
    preferred: Collection[str] = ()
    """Types that every other choice takes."""
    labels: list[str] = field(default_factory=list)
    """Labels that were named."""
    written: set[str] = field(default_factory=set)
    """Those of them whose section was begun."""
    used: Counter[str] = field(default_factory=Counter)
    """How often each setting stands in the configuration, by `kind type.setting`."""
    stages: Counter[str] = field(default_factory=Counter)
    """How often each stage stands in it, by `kind type`."""
    paths: list[str] = field(default_factory=list)
    """The paths of the file outputs; each has a folder of its number below `output`."""
    taps: int = 0
    """How many taps were written."""
    taps_before: list[str] = field(default_factory=list)
    """For each of `paths` the last tap before the output."""
    _named: int = 0

    @property
    def input(self) -> Path:
        """Where the files to be read are."""
        return self.root / "in"

    @property
    def output(self) -> Path:
        """Where file outputs write."""
        return self.root / "deep" / "er" / "out"

    @property
    def state(self) -> Path:
        """Where positions and buffers are."""
        return self.root / "state"

    @property
    def input_glob(self) -> str:
        """The path of the tail under test."""
        return f"{self.input}/*.log"

    def next_label(self) -> str:
        """Return a label; it is written later on, so that none leads into a circle: two thousand rounds take long."""
        waiting = [label for label in self.labels if label not in self.written]
        if waiting and self.random.random() < 0.05:
            return self.random.choice(waiting)
        self._named += 1
        self.labels.append(f"@L{self._named}")
        return self.labels[-1]

    def type_of(self, names: Sequence[str]) -> str:
        """Return one of these types."""
        liked = [name for name in names if name in self.preferred] if self.preferred else []
        return self.random.choice(liked if liked and self.random.random() < 0.5 else names)

    def turn(self, words: Sequence[str]) -> str:
        """Return one after the other."""
        self._named += 1
        return words[self._named % len(words)]

    def new_folder(self, name: str) -> str:
        """Return a path below `state` that nobody else has."""
        self._named += 1
        return str(self.state / f"{name}{self._named}")

    def endpoint(self) -> str:
        """Return a URL that no other output has."""
        self._named += 1
        return f"{SERVER}/{self._named}/{self.random.choice(('', '${k}', '${tag}/x?a=${k}', '%Y'))}"

    def topic(self, name: str) -> str:
        """Return the name of a topic."""
        return f"fuzz-{name}"
