"""What the ledger adds up: the counters of stages, and the links of a graph, counted at both ends.

Whoever gives counts before the call, whoever takes on entry, and neither looks at the other's number: a difference is
an event that was lost, doubled or invented on the way, and says between whom. What is refused was given and taken, and
is given again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Protocol

from logpipe.event import EventBatch, Receipt

# names that a monitor sees, too, each with what it says
TAKEN: Final = ("taken_records", "Events that came to it and that it accepted.")
EMITS: Final = ("emit_count", "Batches that came to it.")
PASSED: Final = ("passed_records", "Events that it let pass.")
ERRORS: Final = ("error_records", "Events of it that went to @ERROR or the dead letters.")
DROPPED: Final = ("filtered_records", "Events that it dropped on purpose.")
MADE: Final = ("made_records", "Events that it made of others.")
MISSING: Final = ("missing_records", "Events that it was to pass on, and neither did nor said why.")
REJECTED: Final = ("rejected_records", "Events of batches that it could not take and that went to @ERROR whole.")


@dataclass(slots=True, eq=False)
class Edge:
    """One link, named by both ends: `filter p`, `output d`, `route @ROOT`."""

    giver: str
    taker: str
    given: int = 0
    """Events that the giver has counted."""
    taken: int = 0
    """Events that the taker has counted."""

    @property
    def lost(self) -> int:
        """How many events were given and never came; below zero where more came than were given."""
        return self.given - self.taken


class Edges:
    """All links of one graph, in the order in which they were first needed."""

    def __init__(self) -> None:
        self._by_ends: dict[tuple[str, str], Edge] = {}

    def __iter__(self) -> Iterator[Edge]:
        return iter(self._by_ends.values())

    def between(self, giver: str, taker: str) -> Edge:
        """Return the link of two ends, the same one each time."""
        return self._by_ends.setdefault((giver, taker), Edge(giver, taker))


UNNAMED: Final = Edge("", "")
"""Of batches that come from outside of the graph: from a test, or from `logpipe buffer replay`."""


class Taker(Protocol):
    """An outlet that counts what comes to it by the link that it comes over."""

    async def process(self, batch: EventBatch, edge: Edge = UNNAMED) -> None:
        """Accept a batch; returns when it is accepted, raises when it is not."""


@dataclass(slots=True)
class Passing:
    """A batch that an output with `passes_to` is passing on, in the task that does it and those that it awaits."""

    giver: object
    """The output's host: what stages behind it drop or refuse is not its."""
    left: int
    """Events of which nothing is said yet."""
    is_served: bool = False
    """Whether a store has taken all that were left."""


passing: Final[ContextVar[Passing | None]] = ContextVar("passing", default=None)


def passing_of(giver: object) -> Passing | None:
    """Return the batch that an output is passing on; None where this is another's call."""
    found = passing.get()
    return found if found is not None and found.giver is giver else None


@dataclass(slots=True)
class LinkedOutlet:
    """The way to a `<store>`'s output, which counts what is given."""

    taker: Taker
    edge: Edge
    giver: object
    is_given_all: bool
    """Whether each batch is given whole to each store, so that this is the number that the store should get."""

    async def process(self, batch: EventBatch) -> None:
        """Have the store accept a batch."""
        edge, found = self.edge, passing_of(self.giver)
        given = len(batch)
        if self.is_given_all and found is not None:
            edge.given += found.left
            await self.taker.process(batch, edge)
            found.is_served = True
            return
        edge.given += given
        await self.taker.process(batch, edge)
        if found is not None:
            found.left -= given


_through_error: Final[ContextVar[bool]] = ContextVar("through_error", default=False)


@contextmanager
def coming_through_error() -> Iterator[None]:
    """Say of what is emitted in this block that it has been in `@ERROR`, whatever receipts it has."""
    token = _through_error.set(True)
    try:
        yield
    finally:
        _through_error.reset(token)


def comes_through_error(receipt: Receipt | None = None) -> bool:
    """Return whether what is being emitted, or what a receipt is for, has been in `@ERROR`."""
    return _through_error.get() or (receipt is not None and receipt.came_through_error)
