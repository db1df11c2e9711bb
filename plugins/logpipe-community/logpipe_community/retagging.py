"""Emits events into several routes: the first may refuse them, and the others are sent them until they accept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from logpipe import EventBatch, OutputHost, RetryingSender


class Emitters:
    """The ways of a stage into labels; "" is that of its own `@label`."""

    def __init__(self, host: OutputHost, labels: set[str]) -> None:
        self._emit: dict[str, Callable[[EventBatch], Awaitable[None]]] = {
            label: host.emitter(label) if label else host.emit for label in sorted(labels | {""})
        }
        self._later = {
            label: RetryingSender(emit, host, label or "an output behind it") for label, emit in self._emit.items()
        }

    async def emit(self, label: str, batch: EventBatch, *, is_first: bool) -> None:
        """Send a batch into a label.

        Raises:
            Exception: it was refused, and is the first, so that its source brings it again, or nobody does.
        """
        await (self._emit[label](batch) if is_first else self._later[label].send(batch))
