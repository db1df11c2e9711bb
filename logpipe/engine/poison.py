"""Finds the events for which an output refuses a whole chunk, by halves, so that the rest is delivered."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from itertools import compress
from typing import Any, Final

from logpipe.errors import PermanentError, RefusedRecords
from logpipe.event import EventBatch
from logpipe.plugin import Chunk, ChunkKey

DATA_ERRORS: Final = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)
"""What code raises that does not expect an event to be as it is; trying again changes nothing about that."""

HOPELESS: Final = 32
"""Refusals without a single success after which it is not the events: the whole chunk is refused."""


class Part:
    """Some of a chunk's events, as a chunk for an output.

    Args:
        source: the chunk.
        batches: the events, or batches without any where there are payloads.
        payloads: what the output has encoded.
        places: their numbers in the chunk.
        progress: what the output has remembered of them.
    """

    def __init__(
        self,
        source: Chunk,
        batches: list[EventBatch],
        payloads: list[bytes] | None,
        places: Sequence[int],
        progress: Any = None,
    ) -> None:
        count = len(places)
        whole = len(source)
        # a range is named by its ends, so that the same events have the same id at each attempt
        name = f"{source.id}:{places[0]}+{count}" if isinstance(places, range) and places else f"{source.id}:{places}"
        self.id = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
        self.key: ChunkKey = source.key
        self.size = source.size * count // max(1, whole)
        self.progress = progress
        self._source = source
        self._batches = batches
        self._payloads = payloads
        self._places = places
        self._count = count

    @classmethod
    def whole(cls, chunk: Chunk, *, encoded: bool) -> Part:
        """Return all of a chunk."""
        payloads = list(chunk.payloads()) if encoded else None
        batches = [] if encoded else list(chunk.batches())
        count = len(payloads) if payloads is not None else sum(map(len, batches))
        return cls(chunk, batches, payloads, range(count), chunk.progress)

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
        return self._slice(0, middle), self._slice(middle, self._count)

    def only(self, numbers: Collection[int]) -> Part:
        """Return the events of these numbers, counted from the part's first."""
        wanted = [number in numbers for number in range(self._count)]
        batches: list[EventBatch] = []
        payloads: list[bytes] | None = None
        first = 0
        if self._payloads is not None:
            payloads = list(compress(self._payloads, wanted))
        else:
            for batch in self._batches:
                batches.append(batch.keep(wanted[first : first + len(batch)]))
                first += len(batch)
        places = list(compress(self._places, wanted))
        return Part(self._source, [batch for batch in batches if len(batch)], payloads, places)

    def rest(self) -> Part:
        """Return the events of which the output has not said that they need no other attempt."""
        done, numbers = self.progress, range(self._count)
        if _is_number(done):
            return self.only(range(done, self._count))
        if isinstance(done, (set, frozenset)):
            return self.only({number for number in numbers if number not in done})
        if _has_one_for_each(done, self._count):
            return self.only({number for number in numbers if not done[number]})
        return self

    def _slice(self, start: int, stop: int) -> Part:
        progress = _progress_of(self.progress, start, stop, self._count)
        places = self._places[start:stop]
        if self._payloads is not None:
            return Part(self._source, [], self._payloads[start:stop], places, progress)
        return Part(self._source, _split(_split(self._batches, stop)[0], start)[1], None, places, progress)


def _is_number(progress: Any) -> bool:
    return isinstance(progress, int) and not isinstance(progress, bool)


def _has_one_for_each(progress: Any, count: int) -> bool:
    return isinstance(progress, Sequence) and not isinstance(progress, str) and len(progress) == count


def _progress_of(progress: Any, start: int, stop: int, count: int) -> Any:
    """Return what is remembered of some events out of all, None where nobody but the output can tell."""
    if _is_number(progress):
        return min(max(0, progress - start), stop - start)
    if isinstance(progress, (set, frozenset)):
        return type(progress)(number - start for number in progress if start <= number < stop)
    if _has_one_for_each(progress, count):
        some = progress[start:stop]
        return some if type(some) is type(progress) else type(progress)(some)
    return None


def _split(batches: list[EventBatch], middle: int) -> tuple[list[EventBatch], list[EventBatch]]:
    older: list[EventBatch] = []
    newer: list[EventBatch] = []
    for batch in batches:
        place = max(0, min(len(batch), middle))
        middle -= len(batch)
        for part, start, stop in ((older, 0, place), (newer, place, len(batch))):
            if start < stop:
                part.append(batch.slice(start, stop))
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
            except RefusedRecords as error:
                self._succeeded = True
                self.rest.pop()
                await refuse_each(part, error, self._refuse)
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
        await self._refuse(self._whole.rest(), error)
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


async def refuse_each(part: Part, error: RefusedRecords, refuse: Callable[[Part, Exception], Awaitable[None]]) -> None:
    """Refuse the records that an output has named, those with the same reason together."""
    by_reason: dict[str, tuple[Exception, set[int]]] = {}
    for number, given in error.refused.items():
        reason = given if isinstance(given, Exception) else PermanentError(given)
        by_reason.setdefault(repr(reason), (reason, set()))[1].add(number)
    for reason, numbers in by_reason.values():
        refused = part.only(numbers)
        if len(refused):
            await refuse(refused, reason)
