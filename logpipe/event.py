"""What moves between stages: a batch of events, and the receipt that says what is owed for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from logpipe.metrics import Counter

Record: TypeAlias = dict[str, Any]
"""An event's fields: JSON-like values under string keys."""

Time: TypeAlias = int
"""Nanoseconds since the epoch."""


class Event(NamedTuple):
    """One event, for tests and for `EventBatch.events`; the hot path never makes one."""

    time: Time
    record: Record


class Receipt:
    """Counts who still owes something for a batch, and tells its creator when nobody does.

    A receipt is born held once, by the input that made it. The input emits its batch and releases its own hold when
    `emit` has returned; if `emit` raises it does not, so the receipt never settles and the source is read again.
    Whoever keeps events beyond the return of the call that brought them (a chunk, an output that waits for its peer)
    holds the receipt once more and releases it when they are past a kill -9, were handed to a dead letter, or were
    dropped on purpose. The last release settles it and calls `settled` exactly once, on the event loop's thread.
    """

    __slots__ = ("_holds", "_settled", "came_through_error")

    def __init__(self, settled: Callable[[], None], *, came_through_error: bool = False) -> None:
        self._holds = 1
        self._settled = settled
        self.came_through_error = came_through_error
        """Whether the events have been in `<label @ERROR>`: those that fail again are dead letters."""

    @property
    def holds(self) -> int:
        """How many parties still owe something; 0 once settled."""
        return self._holds

    def hold(self) -> None:
        """Owe something for the batch until `release`."""
        if self._holds == 0:
            raise RuntimeError("a settled receipt cannot be held again")
        self._holds += 1

    def release(self) -> None:
        """Owe nothing any more; the last one to say so settles the receipt."""
        if self._holds == 0:
            raise RuntimeError("a settled receipt cannot be released again")
        self._holds -= 1
        if self._holds == 0:
            self._settled()


@dataclass(slots=True)
class EventBatch:
    """Events that share a tag, held as two lists of equal length.

    1. One tag per batch: routing is looked up once.
    2. One owner: passing a batch on gives it away, whatever comes of it. The receiver may change it, keep it or drop
       it; the sender must not look at it again. A refused batch is made again from its source, never sent again.
       Only fan-out copies, and its last branch gets the original.
    3. Time is an integer of nanoseconds. Only parsers and formatters convert.
    4. Records are plain dicts of JSON-like values. Values nested in a record may be shared between records
       (Kubernetes metadata is built once per container): replace them, never change them in place.
    5. No object per event on the hot path.
    """

    tag: str
    times: list[Time]
    records: list[Record]
    receipt: Receipt | None = None
    dropped: Counter | None = field(default=None, init=False, repr=False, compare=False)
    """Counts what `keep` drops, for whoever has been given the batch; the router sets it for filters alone."""

    def __len__(self) -> int:
        return len(self.records)

    def events(self) -> Iterator[Event]:
        """Yield each event; convenient, and too slow for the hot path."""
        return map(Event, self.times, self.records)

    def keep(self, mask: list[bool], *, errors: int = 0) -> EventBatch:
        """Return the events whose entry in `mask` is true: this very batch when all are.

        In a filter the others count as dropped on purpose, but for those that were handed to `host.emit_error`.

        Args:
            mask: one entry for each event.
            errors: how many of the others were handed to `host.emit_error`.
        """
        if all(mask):
            return self
        kept = EventBatch(self.tag, list(compress(self.times, mask)), list(compress(self.records, mask)), self.receipt)
        if self.dropped is not None:
            self.dropped.value += len(self.records) - len(kept.records) - errors
            kept.dropped = self.dropped
        return kept

    def copy(self) -> EventBatch:
        """Return a batch whose records may be changed at their top level without touching this one's.

        It shares the receipt: both batches are owed for together.
        """
        return EventBatch(self.tag, list(self.times), [record.copy() for record in self.records], self.receipt)
