"""The code generated for settings with expressions, for `logpipe explain`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from logpipe.config.diagnostic import Position


@dataclass(frozen=True, slots=True)
class Explained:
    """One expression, or the function that runs those of a section."""

    place: Position
    name: str
    """Its place, such as `<record> topic`."""
    text: str
    """As the user wrote it; "" for the function that runs the others."""
    source: str
    """Generated Python."""


@runtime_checkable
class Explaining(Protocol):
    """An Options class with expressions."""

    def explained(self) -> Iterator[Explained]:
        """Yield the expressions in file order; called only on valid settings."""
        ...
