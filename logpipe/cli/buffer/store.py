"""The interface to anything that keeps events in files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from logpipe.engine.dead_letters.letters import Letter
from logpipe.event import EventBatch, Time


@dataclass(frozen=True, slots=True)
class Row:
    """An item's row of `ls`."""

    item_id: str
    state: str
    tag: str
    """Empty where it is unknown."""
    key: dict[str, object]
    """The values its events share, by the chunk keys of `<buffer ARG>`."""
    records: int
    size: int
    created: Time
    problem: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of `verify` for one item."""

    records: int
    """Intact ones."""
    damages: list[str] = field(default_factory=list)
    """A description of each damaged place; empty where all is intact."""


class Item(Protocol):
    """A chunk or a file of dead letters. All methods may raise FileNotFoundError: it was delivered meanwhile."""

    @property
    def item_id(self) -> str:
        """The id for `--chunk`."""
        ...

    @property
    def path(self) -> Path:
        """Its file."""
        ...

    def row(self) -> Row:
        """Return its row; reads no more of the file than necessary."""
        ...

    def read(self) -> Iterator[EventBatch | bytes]:
        """Yield its intact parts, oldest first: events, or bytes in an output's encoding."""
        ...

    def letters(self) -> Iterator[Letter]:
        """Yield its intact events, oldest first, for `replay`."""
        ...

    def claim(self) -> None:
        """Reserve it until `remove` or `give_back`; called under the store's lock.

        Raises:
            LogpipeError: another process has claimed it.
        """
        ...

    def remove(self) -> None:
        """Delete it after delivery."""
        ...

    def give_back(self) -> None:
        """Undo `claim`; the file stays."""
        ...

    def verify(self) -> Finding:
        """Read all of it."""
        ...

    def repair(self) -> str:
        """Remove the damaged parts, under the store's lock; returns a description of what was done.

        Raises:
            LogpipeError: it cannot be repaired here; the message says what to do.
        """
        ...


class Store(Protocol):
    """A folder of items that belong together, such as the chunks of one buffer."""

    @property
    def folder(self) -> Path:
        """The folder."""
        ...

    @property
    def notes(self) -> list[str]:
        """Remarks beside the items: the process that uses it, the contents of `corrupt`."""
        ...

    def items(self) -> list[Item]:
        """Return the items, oldest first."""
        ...

    def lock(self) -> None:
        """Lock it against other processes, until `unlock`.

        Raises:
            LogpipeError: a process uses it; the message names the process.
        """
        ...

    def unlock(self) -> None:
        """Release the lock."""
        ...
