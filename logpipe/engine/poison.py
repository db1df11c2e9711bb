"""Finds the events for which an output refuses a whole chunk, by halves, so that the rest is delivered."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from logpipe.errors import PermanentError
from logpipe.event import EventBatch
from logpipe.plugin import Chunk, ChunkKey

DATA_ERRORS: Final = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)
"""What code raises that does not expect an event to be as it is; trying again changes nothing about that."""

HOPELESS: Final = 32
"""Refusals without a single success after which it is not the events: the whole chunk is refused."""


class Part:
    """Some of a chunk's events, as a chunk for an output."""

    def __init__(self, source: Chunk, batches: list[EventBatch], payloads: list[bytes] | None, start: int) -> None:
        count = len(payloads) if payloads is not None else sum(map(len, batches))
        whole = len(source)
        name = f"{source.id}:{start}+{count}".encode()
        self.id = hashlib.blake2b(name, digest_size=16).hexdigest()
        self.key: ChunkKey = source.key
        self.size = source.size * count // max(1, whole)
        self.progress: Any = None
        self._source = source
        self._batches = batches
        self._payloads = payloads
        self._start = start
        self._count = count

    @classmethod
    def whole(cls, chunk: Chunk, *, encoded: bool) -> Part:
        """Return all of a chunk."""
        return cls(chunk, [] if encoded else list(chunk.batches()), list(chunk.payloads()) if encoded else None, 0)

    def __len__(self) -> int:
        return self._count

    def batches(self) -> Iterator[EventBatch]:
        """Yield the events, oldest first."""
        return iter(self._batches)

    def payloads(self) -> Iterator[bytes]:
        """Yield the payloads, oldest first."""
        return iter(self._payloads or ())

    def halves(self) -> tuple[Part, Part]:
        """Return the older and the newer half."""
        middle = self._count // 2
        if self._payloads is not None:
            first, second = self._payloads[:middle], self._payloads[middle:]
            return Part(self._source, [], first, self._start), Part(self._source, [], second, self._start + middle)
        older, newer = _split(self._batches, middle)
        return Part(self._source, older, None, self._start), Part(self._source, newer, None, self._start + middle)


def _split(batches: list[EventBatch], middle: int) -> tuple[list[EventBatch], list[EventBatch]]:
    older: list[EventBatch] = []
    newer: list[EventBatch] = []
    for batch in batches:
        place = max(0, min(len(batch), middle))
        middle -= len(batch)
        for part, records in ((older, slice(None, place)), (newer, slice(place, None))):
            if batch.records[records]:
                part.append(EventBatch(batch.tag, batch.times[records], batch.records[records], batch.receipt))
    return older, newer


class PoisonHunt:
    """A chunk that was refused whole, on its way out in parts.

    An output that raises PermanentError has judged the events; any of DATA_ERRORS may come from a peer's odd answer
    too. Therefore events are blamed for the latter only if others of the same chunk were delivered.

    Args:
        chunk: the refused one.
        error: why it was refused.
        refuse: takes a part that can never be delivered, with the reason.
        encoded: whether the chunk holds payloads.
    """

    def __init__(
        self, chunk: Chunk, error: Exception, refuse: Callable[[Part, Exception], Awaitable[None]], *, encoded: bool
    ) -> None:
        self._whole = Part.whole(chunk, encoded=encoded)
        self.rest: list[Part] = []
        """What is still to be delivered, newest first."""
        self.saved = 0
        """Events of it that were made dead letters; whoever saves them counts them here."""
        self._refuse = refuse
        self._suspects: list[tuple[Part, Exception]] = []
        self._failures = 1
        self._succeeded = False
        self._gave_up_dividing = False
        self._divide(self._whole, error)

    async def go_on(self, write: Callable[[Chunk], Awaitable[None]]) -> None:
        """Deliver what is left, part by part; what alone is refused goes to `refuse`.

        Raises:
            Exception: the peer's trouble, not an event's; call again when it may be over.
        """
        while self.rest:
            part = self.rest[-1]
            try:
                await write(part)
            except (PermanentError, *DATA_ERRORS) as error:
                self._failures += 1
                if self._gave_up_dividing and not isinstance(error, PermanentError):
                    raise
                self.rest.pop()
                self._divide(part, error)
                if not self._succeeded and self._failures >= HOPELESS:
                    await self._despair(error)
            else:
                self._succeeded = True
                self.rest.pop()
        await self._condemn()

    def _divide(self, part: Part, error: Exception) -> None:
        if len(part) > 1:
            older, newer = part.halves()
            self.rest += [newer, older]
        else:
            self._suspects.append((part, error))

    async def _despair(self, error: Exception) -> None:
        """React to a chunk of which nothing goes through."""
        self._suspects.clear()
        self.rest = [self._whole]
        if not isinstance(error, PermanentError):
            self._gave_up_dividing = True
            raise error
        await self._refuse(self._whole, error)
        self.rest.clear()

    async def _condemn(self) -> None:
        """Refuse the events that alone are to blame."""
        while self._suspects:
            part, error = self._suspects[0]
            if not self._succeeded and not isinstance(error, PermanentError):
                self._gave_up_dividing = True
                self.rest = [each for each, _ in self._suspects]
                self._suspects.clear()
                raise error
            await self._refuse(part, error)
            del self._suspects[0]
