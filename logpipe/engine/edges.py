"""The links of a graph: who gives events to whom, counted at both ends.

Whoever gives counts before the call, whoever takes on entry, and neither looks at the other's number: a difference is
an event that was lost, doubled or invented on the way, and says between whom. What is refused was given and taken, and
is given again.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from logpipe.event import EventBatch


@dataclass(slots=True, eq=False)
class Edge:
    """One link, named by both ends: `filter p`, `output d`, `route @ROOT`."""

    giver: str
    taker: str
    given: int = 0
    """Events that the giver has counted."""
    taken: int = 0
    """Events that the taker has counted."""
    is_compared: bool = True
    """Whether the giver counts: outputs of others may give to their stores without saying so."""

    @property
    def lost(self) -> int:
        """How many events were given and never came; below zero where more came than were given."""
        return self.given - self.taken if self.is_compared else 0


class Edges:
    """All links of one graph, in the order in which they were first needed."""

    def __init__(self) -> None:
        self._by_ends: dict[tuple[str, str], Edge] = {}

    def __iter__(self) -> Iterator[Edge]:
        return iter(self._by_ends.values())

    def between(self, giver: str, taker: str) -> Edge:
        """Return the link of two ends, the same one each time."""
        return self._by_ends.setdefault((giver, taker), Edge(giver, taker))


UNNAMED: Final = Edge("", "", is_compared=False)
"""Of batches that come from outside of the graph: from a test, or from `logpipe buffer replay`."""


class Taker(Protocol):
    """An outlet that counts what comes to it by the link that it comes over."""

    async def process(self, batch: EventBatch, edge: Edge = UNNAMED) -> None:
        """Accept a batch; returns when it is accepted, raises when it is not."""
        ...


@dataclass(frozen=True, slots=True)
class LinkedOutlet:
    """The way to a `<store>`'s output."""

    process: Callable[[EventBatch], Coroutine[Any, Any, None]]
    edge: Edge
