"""Up to where the messages of one partition are past a kill -9."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from logpipe import Receipt


class _Stretch:
    """Messages that came together."""

    __slots__ = ("count", "end", "is_settled", "size")

    def __init__(self, end: int, count: int, size: int) -> None:
        self.end = end
        self.count = count
        self.size = size
        self.is_settled = False


class Progress:
    """The receipts of one partition, in the order of its offsets.

    Args:
        settled: called when the offset to commit has moved, with how many messages that were.
    """

    def __init__(self, settled: Callable[[int], None]) -> None:
        self._settled = settled
        self._stretches: deque[_Stretch] = deque()
        self.offset: int | None = None
        """The offset to commit: all messages before it are settled. None while nothing is."""
        self.committed: int | None = None
        """The one that was committed last."""
        self.size = 0
        """Bytes of messages that are owed."""

    def __len__(self) -> int:
        return len(self._stretches)

    def receipt(self, end: int, count: int, size: int) -> Receipt:
        """Return a receipt for the next messages.

        Args:
            end: the offset behind them.
            count: how many.
            size: their bytes.
        """
        stretch = _Stretch(end, count, size)
        self._stretches.append(stretch)
        self.size += size
        return Receipt(lambda: self._settle(stretch))

    def _settle(self, stretch: _Stretch) -> None:
        stretch.is_settled = True
        count = 0
        while self._stretches and self._stretches[0].is_settled:
            first = self._stretches.popleft()
            self.offset = first.end
            self.size -= first.size
            count += first.count
        if count:
            self._settled(count)
