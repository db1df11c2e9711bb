"""What the subcommands share: the interface to anything that keeps events in files, and masked output."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TextIO

from logpipe.config.secrets import masked_text
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

    item_id: str
    """The id for `--chunk`."""
    path: Path
    """Its file."""

    def row(self) -> Row:
        """Return its row; reads no more of the file than necessary."""

    def read(self) -> Iterator[EventBatch | bytes]:
        """Yield its intact parts, oldest first: events, or bytes in an output's encoding."""

    def letters(self) -> Iterator[Letter]:
        """Yield its intact events, oldest first, for `replay`."""

    def export(self, folder: Path) -> tuple[Path, int] | None:
        """Write it to a folder as fluentd reads it, where it is a chunk of ours; it stays.

        Returns the new file, and how many records it has; None where it is fluentd's already.

        Raises:
            ValueError: it is damaged, or empty.
            OSError: it cannot be read or written.
        """
        del folder
        return None

    def claim(self) -> None:
        """Reserve it until `remove` or `give_back`; called under the store's lock, which is enough for chunks.

        Raises:
            LogpipeError: another process has claimed it.
        """
        return

    def remove(self) -> None:
        """Delete it after delivery."""

    def give_back(self) -> None:
        """Undo `claim`; the file stays."""
        return

    def verify(self) -> Finding:
        """Read all of it."""

    def repair(self) -> str:
        """Remove the damaged parts, under the store's lock; returns a description of what was done.

        Raises:
            LogpipeError: it cannot be repaired here; the message says what to do.
        """


class Store(Protocol):
    """A folder of items that belong together, such as the chunks of one buffer."""

    folder: Path

    @property
    def notes(self) -> list[str]:
        """Remarks beside the items: the process that uses it, the contents of `corrupt`."""

    def items(self) -> list[Item]:
        """Return the items, oldest first."""

    def lock(self) -> None:
        """Lock it against other processes, until `unlock`; files of dead letters are claimed one by one instead.

        Raises:
            LogpipeError: a process uses it; the message names the process.
        """
        return

    def unlock(self) -> None:
        """Release the lock."""
        return


def print_masked(text: str, *, file: TextIO | None = None) -> None:
    """Print a line with secrets masked as by `logpipe config`: paths, tags and reasons may contain some."""
    print(masked_text(text), file=file)
