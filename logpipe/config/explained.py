"""What settings are made of expressions tell about the code that is generated for them, for `logpipe explain`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from logpipe.config.diagnostic import Position


@dataclass(frozen=True, slots=True)
class Explained:
    """One expression, or what runs those of a section."""

    place: Position
    name: str
    """What it is, such as `<record> topic`."""
    text: str
    """As the user wrote it; "" for what runs the others."""
    source: str
    """Generated Python."""


@runtime_checkable
class Explaining(Protocol):
    """An Options class with expressions."""

    def explained(self) -> Iterator[Explained]:
        """Yield the expressions in file order; called when the settings are right."""
        ...
