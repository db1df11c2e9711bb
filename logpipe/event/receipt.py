"""What is owed for a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable


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

        return cls(settled, came_through_error=any(part.came_through_error for part in owed)) if owed else None

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
