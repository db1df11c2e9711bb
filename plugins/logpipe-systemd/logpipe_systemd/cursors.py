"""How far the journal is past a kill -9."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from logpipe import Receipt


@dataclass(slots=True, eq=False)
class _Batch:
    cursor: str
    is_settled: bool = False


class Cursors:
    """The cursors of batches whose receipts are owed, in the order of the journal.

    Args:
        moved: is called when `settled` has changed.
    """

    def __init__(self, moved: Callable[[], None]) -> None:
        self._moved = moved
        self._waiting: deque[_Batch] = deque()
        self.settled = ""
        """The cursor of the last entry before which nothing is owed; "" where there is none yet."""

    def expect(self, cursor: str) -> Receipt:
        """Return the receipt of the batch that ends with the entry of a cursor."""
        batch = _Batch(cursor)
        self._waiting.append(batch)
        return Receipt(partial(self._settle, batch))

    def refuse(self) -> None:
        """Forget the last batch, which was not accepted: it is read again, and has a new receipt then."""
        self._waiting.pop()

    def _settle(self, batch: _Batch) -> None:
        batch.is_settled = True
        waiting = self._waiting
        if waiting[0] is not batch:
            return
        while waiting and waiting[0].is_settled:
            self.settled = waiting.popleft().cursor
        self._moved()
