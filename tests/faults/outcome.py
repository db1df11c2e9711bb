"""What came of a row of the matrix."""

from __future__ import annotations

from dataclasses import dataclass


class Impossible(Exception):  # noqa: N818 - it says what is so
    """This machine, or this user on it, can't make the fault happen; the message says what is missing."""


class NotFired(AssertionError):  # noqa: N818 - it says what is so
    """The fault did not happen, so that nothing was shown."""


@dataclass
class Outcome:
    """The sums of a row's trials."""

    events_in: int = 0
    events_out: int = 0
    """Different ones."""
    duplicates: int = 0
    set_aside: int = 0
    """Events that were not delivered and are accounted for: dead letters, damaged bytes with their report."""
    ledgers: int = 0
    """Runs of the program that ended with a ledger."""
    unexplained: int = 0
    """What those ledgers could not explain."""
    fired: int = 0
    """How many faults really happened."""

    def add(self, other: Outcome) -> None:
        """Add a trial's."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
