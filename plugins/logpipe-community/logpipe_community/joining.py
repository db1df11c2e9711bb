"""Events that wait for others of their stream to be joined with: what is held, and what is owed for it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from sys import getsizeof
from typing import Any, Final, Generic, TypeVar

from logpipe import EventBatch, Receipt, Record, Time
from logpipe.codec import escaped, unescaped
from logpipe.ruby import to_s

MOST_BYTES: Final = 64 << 20
"""What all streams of a stage hold together, about; more is let go of as it is, the stream first that is silent for
longest: whoever writes log lines could else fill the memory."""
SHARE: Final = 4
"""One stream has a part of that at most, so that it does not send all others on before their time."""
COSTS: Final = 1000
"""Bytes that an event takes beside its record, with what a stream takes that has one event only."""


class Group:
    """Events of one stream that are to be one."""

    __slots__ = ("events", "length", "receipts", "size", "tag", "texts", "touched")

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.events: list[tuple[Time, Record]] = []
        self.texts: list[str] = []
        self.receipts: list[Receipt] = []
        """Those of earlier batches, each held once."""
        self.size = 0
        """Bytes of memory, about."""
        self.length = 0
        """As much as the stage counts for a limit that the user sets."""
        self.touched = 0.0
        """When the last event came, by the monotonic clock."""

    def __len__(self) -> int:
        return len(self.events)

    def add(self, time: Time, record: Record, text: str) -> int:
        """Add an event; returns how much more is held, in bytes."""
        self.events.append((time, record))
        self.texts.append(text)
        size = COSTS + memory_of(record) + getsizeof(text)
        self.size += size
        return size

    def owe(self, receipt: Receipt | None) -> None:
        """Hold the receipt of a batch that it keeps events of."""
        if receipt is not None and (not self.receipts or self.receipts[-1] is not receipt):
            receipt.hold()
            self.receipts.append(receipt)


G = TypeVar("G", bound=Group)


class Groups(Generic[G]):
    """The open groups of a stage by stream, the longest silent first."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._open: dict[Hashable, G] = {}
        self._size = 0
        self._leaving = 0
        """Bytes of what was let go of and is not accepted yet."""
        self._touched: dict[Hashable, G] = {}
        """Those that have got events of the batch that is being processed."""

    def held(self) -> int:
        """Return how many events wait."""
        return sum(map(len, self._open.values()))

    def get(self, stream: Hashable) -> G | None:
        """Return a stream's group; None where nothing of it waits."""
        return self._open.get(stream)

    def put(self, stream: Hashable, group: G, now: float, size: int) -> None:
        """Note that a group has got an event of so many bytes."""
        self._open.pop(stream, None)
        group.touched = now
        self._open[stream] = self._touched[stream] = group
        self._size += size

    def take(self, stream: Hashable) -> G | None:
        """Take a stream's group out."""
        group = self._open.pop(stream, None)
        if group is not None:
            self._size -= group.size
            self._touched.pop(stream, None)
        return group

    def processed(self, receipt: Receipt | None) -> Iterator[G]:
        """Hold a batch's receipt for each group that keeps events of it; then take out what is too much to be kept."""
        large = []
        for stream, group in self._touched.items():
            group.owe(receipt)
            if group.size > self._most_bytes // SHARE:
                large.append(stream)
        self._touched.clear()
        yield from self._taken(large)
        while self._size > self._most_bytes:
            yield from self._taken([next(iter(self._open))])

    def silent_since(self, moment: float) -> Iterator[G]:
        """Take out the groups that have got nothing since then."""
        yield from self._while_there_is_room(lambda group: group.touched <= moment, is_in_order=True)

    def older_than(self, moment: float, began: Callable[[G], float]) -> Iterator[G]:
        """Take out the groups that began before then."""
        yield from self._while_there_is_room(lambda group: began(group) < moment, is_in_order=False)

    def all(self) -> Iterator[G]:
        """Take out every group."""
        return self._taken([*self._open])

    @contextmanager
    def leaving(self, groups: Sequence[G]) -> Iterator[None]:
        """Count groups that were taken out for as long as they are on their way to be accepted."""
        size = sum(group.size for group in groups)
        self._leaving += size
        try:
            yield
        finally:
            self._leaving -= size

    def _while_there_is_room(self, is_due: Callable[[G], bool], *, is_in_order: bool) -> Iterator[G]:
        """Take out what is due; not where as much as may be held is on its way, to outputs that take nothing."""
        due, size = [], self._leaving
        for stream, group in self._open.items():
            if size > self._most_bytes:
                break
            if is_due(group):
                due.append(stream)
                size += group.size
            elif is_in_order:
                break
        yield from self._taken(due)

    def _taken(self, streams: Iterable[Hashable]) -> Iterator[G]:
        for stream in streams:
            group = self.take(stream)
            if group is not None:
                yield group


def joint(groups: Iterable[Group]) -> Receipt | None:
    """Return a receipt for what groups are made into; their holds go over to it."""
    return Receipt.joint(receipt for group in groups for receipt in group.receipts)


def joint_with(batch: EventBatch, groups: list[Group]) -> Receipt | None:
    """Return a receipt for events of a batch and groups that it has completed: the batch's own where it can be."""
    if not any(group.receipts for group in groups):
        return batch.receipt
    if batch.receipt is not None:
        batch.receipt.hold()
    return Receipt.joint([batch.receipt, *(receipt for group in groups for receipt in group.receipts)])


def text_of(value: Any) -> str:
    """Return a field's text as it is joined; bytes that are not UTF-8 are lone surrogates in it.

    Raises:
        LogpipeError: it is nested too deeply, or has too many members, to be text.
    """
    return value if type(value) is str else escaped(value) if type(value) is bytes else to_s(value)


def joined(texts: Iterable[str], separator: str) -> str | bytes:
    """Return one text of several; bytes where it is not UTF-8."""
    return unescaped(separator.join(texts))


def memory_of(record: Record) -> int:
    """Return about how many bytes of memory a record takes, with all that is in it."""
    left: list[Any] = [record]
    size = 0
    while left:
        value = left.pop()
        size += getsizeof(value)
        for member in (*value.keys(), *value.values()) if type(value) is dict else value:
            if type(member) is dict or type(member) is list:
                left.append(member)
            else:
                size += getsizeof(member)
    return size
