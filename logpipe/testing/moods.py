"""What may be wrong with a peer, and what stands for one in tests."""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import Protocol


class Mood(enum.Enum):
    """How a peer behaves."""

    WELL = "well"
    DOWN = "down"
    """Connections are refused, and those that were open are cut."""
    SLOW = "slow"
    """Each answer comes late, and comes."""
    SILENT = "silent"
    """Connections are accepted, and what they carry is never answered. A connection that has fallen silent stays so."""
    RESETTING = "resetting"
    """A connection is reset as soon as it carries something."""
    GARBLING = "garbling"
    """What comes back is no answer of the protocol, and then the end of the connection."""
    THROTTLING = "throttling"
    """It takes nothing now, and says when to try again."""
    FAILING = "failing"
    """It answers with an error that may pass."""
    FAILING_SOME = "failing some"
    """It answers with success, and says within that it has not taken some events, which may pass."""
    REFUSING_ONE = "refusing one"
    """It takes all but the events that are marked, and says so for good."""
    REFUSING_ALL = "refusing all"
    """It takes none, and says so for good."""


class Peer(Protocol):
    """What an output delivers to, in front of which or in which a test has the moods made."""

    met: int
    """How often a client has met with its mood, as far as it sees that: who is refused a connection it does not see."""

    async def become(self, mood: Mood) -> None:
        """Be in a mood from now on."""
        ...

    async def received(self) -> Collection[int]:
        """Return the field `n` of each event that it has taken; called when it is well."""
        ...
