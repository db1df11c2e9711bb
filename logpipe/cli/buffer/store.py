"""What `logpipe buffer` needs of anything that keeps events in files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from logpipe.engine.letters import Letter
from logpipe.event import EventBatch, Time


@dataclass(frozen=True, slots=True)
class Row:
    """What `ls` says of one item."""

    item_id: str
    state: str
    tag: str
    """Empty where nothing tells."""
    key: dict[str, object]
    """What its events share, by the words of `<buffer ARG>`."""
    records: int
    size: int
    created: Time
    problem: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What `verify` says of one item."""

    records: int
    """Intact ones."""
    damages: list[str] = field(default_factory=list)
    """Each damaged place, in words; nothing where all is intact."""


class Item(Protocol):
    """A chunk, or what is like one. Whatever it does may raise FileNotFoundError: it is gone, which is no mistake."""

    @property
    def item_id(self) -> str:
        """What `--chunk` is compared with."""
        ...

    @property
    def path(self) -> Path:
        """Its file."""
        ...

    def row(self) -> Row:
        """Return what it is, without reading more of it than that takes."""
        ...

    def read(self) -> Iterator[EventBatch | bytes]:
        """Yield what is intact of it, oldest first: events, or what an output has encoded."""
        ...

    def letters(self) -> Iterator[Letter]:
        """Yield what is intact of it, oldest first, for `replay`."""
        ...

    def claim(self) -> None:
        """Keep others from taking it, until `remove` or `give_back`; under the store's lock.

        Raises:
            LogpipeError: somebody has it.
        """
        ...

    def remove(self) -> None:
        """Delete it: all that was in it is delivered."""
        ...

    def give_back(self) -> None:
        """Leave it where it was."""
        ...

    def verify(self) -> Finding:
        """Read all of it."""
        ...

    def repair(self) -> str:
        """Take damage out of it, under the store's lock; returns what was done, in words.

        Raises:
            LogpipeError: it is none of what can be repaired here; says what to do.
        """
        ...


class Store(Protocol):
    """What belongs together: the chunks of one buffer."""

    @property
    def folder(self) -> Path:
        """Where it is."""
        ...

    @property
    def notes(self) -> list[str]:
        """What there is to know beside the items: who uses it, what lies in `corrupt`."""
        ...

    def items(self) -> list[Item]:
        """Return what is in it, oldest first."""
        ...

    def lock(self) -> None:
        """Keep others out, until `unlock`.

        Raises:
            LogpipeError: a process uses it; names it.
        """
        ...

    def unlock(self) -> None:
        """Let others in."""
        ...
