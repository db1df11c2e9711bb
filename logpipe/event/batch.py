"""A batch of events: what every stage is given, and what it gives on; and the receipt, what is owed for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias


class Receipt:
    """Counts who still owes something for a batch, and tells its creator when nobody does.

    A receipt is born held once, by the input that made it. The input emits its batch and releases its own hold when
    `emit` has returned; if `emit` raises it does not, so the receipt never settles and the source is read again.
    Whoever keeps events beyond the return of the call that brought them (a chunk, an output that waits for its peer)
    holds the receipt once more and releases it when they are past a kill -9, were handed to a dead letter, or were
    dropped on purpose. The last release settles it and calls `settled` exactly once, on the event loop's thread.

    Args:
        settled: what it tells.
        came_through_error: whether the events have been in `<label @ERROR>`.
        is_awaited: whether a peer waits for it, and sends all again where it takes long: a buffer in memory delivers
            such events within about a second, whatever its `flush_interval`.
    """

    __slots__ = ("_holds", "_settled", "came_through_error", "is_awaited")

    def __init__(
        self, settled: Callable[[], None], *, came_through_error: bool = False, is_awaited: bool = False
    ) -> None:
        self._holds = 1
        self._settled = settled
        self.came_through_error = came_through_error
        """Whether the events have been in `<label @ERROR>`: those that fail again are dead letters."""
        self.is_awaited = is_awaited

    @classmethod
    def joint(cls, parts: Iterable[Receipt | None]) -> Receipt | None:
        """Return a receipt for an event that was made of events of several batches; None where none has one.

        It takes over one hold of each part, however often one is named, and releases them all when it settles. It is
        born held, as any.
        """
        owed = [part for part in parts if part is not None]

        def settled() -> None:
            for part in owed:
                part.release()

        if not owed:
            return None
        return cls(
            settled,
            came_through_error=any(part.came_through_error for part in owed),
            is_awaited=any(part.is_awaited for part in owed),
        )

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
    6. `records` may cost: in a `LineBatch` it decodes. Whoever needs the number of events takes `len(batch)`, one of
       them `record`, some of them `slice`, `pick` and `keep`, and reads `records` only for the fields.
    """

    tag: str
    times: list[Time]
    records: list[Record]
    receipt: Receipt | None = None
    origin: object | None = field(default=None, init=False, repr=False, compare=False)
    """Where the events came from. Nothing sets it yet; what is set stays with a batch and with what is made of it."""
    dropped: Counter | None = field(init=False, repr=False, compare=False)
    """Counts what `keep` drops, for whoever has been given the batch; the router sets it, for filters alone.

    A new batch has none: not even None, which would have to be written into each.
    """

    def __len__(self) -> int:
        return len(self.times)

    @property
    def is_uneven(self) -> bool:
        """Whether there are more times than records, or fewer: a mistake of whoever made or changed the batch."""
        return len(self.times) != len(self.records)

    def record(self, number: int) -> Record:
        """Return the record of one event, counted from 0."""
        return self.records[number]

    def events(self) -> Iterator[Event]:
        """Yield each event; convenient, and too slow for the hot path."""
        return map(Event, self.times, self.records)

    def slice(self, start: int, stop: int) -> EventBatch:
        """Return the events from number `start` until before `stop`, as `list[start:stop]` does."""
        part = EventBatch(self.tag, self.times[start:stop], self.records[start:stop], self.receipt)
        part.origin = self.origin
        return part

    def pick(self, numbers: Sequence[int]) -> EventBatch:
        """Return the events of these numbers, in the order of the numbers."""
        times, records = self.times, self.records
        picked = [records[number] for number in numbers]
        part = EventBatch(self.tag, [times[number] for number in numbers], picked, self.receipt)
        part.origin = self.origin
        return part

    def keep(self, mask: list[bool], *, errors: int = 0) -> EventBatch:
        """Return the events whose entry in `mask` is true: this very batch when all are.

        In a filter the others count as dropped on purpose, but for those that were handed to `host.emit_error`.

        Args:
            mask: one entry for each event.
            errors: how many of the others were handed to `host.emit_error`.
        """
        if all(mask):
            return self
        kept = self._kept(mask)
        kept.origin = self.origin
        try:
            dropped = self.dropped
        except AttributeError:  # nobody has been given it
            return kept
        if dropped is not None:
            dropped.value += len(self.times) - len(kept.times) - errors
            kept.dropped = dropped
        return kept

    def _kept(self, mask: list[bool]) -> EventBatch:
        return EventBatch(self.tag, list(compress(self.times, mask)), list(compress(self.records, mask)), self.receipt)

    def copy(self) -> EventBatch:
        """Return a batch whose records may be changed at their top level without touching this one's.

        It shares the receipt: both batches are owed for together.
        """
        copied = EventBatch(self.tag, list(self.times), [record.copy() for record in self.records], self.receipt)
        copied.origin = self.origin
        return copied

    def compact(self) -> None:
        """Let go of memory that other events need and these do not; to be called before a batch is kept for long."""
