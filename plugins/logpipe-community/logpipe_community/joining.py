"""Events that wait for others of their stream to be joined with: what is held, and what is owed for it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, Final, Generic, TypeVar

from logpipe import EventBatch, Receipt, Record, Time
from logpipe.codec import escaped, unescaped
from logpipe.ruby import to_s

MOST_BYTES: Final = 64 << 20
"""What all streams of a stage hold together, about; more is let go of as it is, the stream first that is silent for
longest: whoever writes log lines could else fill the memory."""
COSTS: Final = 1000
"""Bytes that an event takes beside its texts, about."""


class Group:
    """Events of one stream that are to be one."""

    __slots__ = ("events", "receipts", "size", "tag", "texts", "touched")

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.events: list[tuple[Time, Record]] = []
        self.texts: list[str] = []
        self.receipts: list[Receipt] = []
        """Those of earlier batches, each held once."""
        self.size = 0
        """Bytes, about."""
        self.touched = 0.0
        """When the last event came, by the monotonic clock."""

    def __len__(self) -> int:
        return len(self.events)

    def add(self, time: Time, record: Record, text: str, size: int) -> None:
        """Add an event."""
        self.events.append((time, record))
        self.texts.append(text)
        self.size += size

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

    def owe(self, receipt: Receipt | None) -> None:
        """Hold a batch's receipt for each group that keeps events of it; called when the batch is processed."""
        for group in self._touched.values():
            group.owe(receipt)
        self._touched.clear()

    def too_many(self) -> Iterator[G]:
        """Take out what is too much to be kept."""
        while self._size > self._most_bytes:
            group = self.take(next(iter(self._open)))
            if group is not None:
                yield group

    def silent_since(self, moment: float) -> Iterator[G]:
        """Take out the groups that have got nothing since then."""
        while self._open:
            stream, group = next(iter(self._open.items()))
            if group.touched > moment:
                return
            self.take(stream)
            yield group

    def older_than(self, moment: float, began: Callable[[G], float]) -> Iterator[G]:
        """Take out the groups that began before then."""
        for stream in [stream for stream, group in self._open.items() if began(group) < moment]:
            group = self.take(stream)
            if group is not None:
                yield group

    def all(self) -> Iterator[G]:
        """Take out every group."""
        while self._open:
            group = self.take(next(iter(self._open)))
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
    """Return a field's text as it is joined; bytes that are not UTF-8 are lone surrogates in it."""
    return value if type(value) is str else escaped(value) if type(value) is bytes else to_s(value)


def joined(texts: Iterable[str], separator: str) -> str | bytes:
    """Return one text of several; bytes where it is not UTF-8."""
    return unescaped(separator.join(texts))


def size_of(record: Record) -> int:
    """Return about how many bytes the texts of a record have, as the original counts."""
    return sum(len(name) + (len(value) if isinstance(value, (str, bytes)) else 8) for name, value in record.items())
