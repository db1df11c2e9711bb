"""The chunks of one output that wait for delivery: which is tried next, and when. Pure arithmetic, without a clock.

A chunk that fails is tried again on a schedule of its own (retry.py) and holds up its own key only: what else has that
key waits behind it, in order, and all other keys go on. Whether it is the key or the peer is told by the others. Until
one of them is delivered the peer may be down, so that it is tried once per pause, by one chunk after the other, and the
pauses are those of a single schedule, as fluentd's are. As soon as a chunk is delivered the peer answers, and those
that have failed so far are known to have trouble of their own.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Collection, Iterator
from itertools import chain
from typing import Final

from logpipe.config.buffer_options import BufferOptions
from logpipe.engine.buffering.retry import Retry
from logpipe.plugin import ChunkKey, StoredChunk

PROBE_SECONDS: Final = 1.0
"""Longest pause, after a single key has failed, until another key is tried."""

OTHERS_SHARE: Final = 3.0
"""How much longer than the last failed attempt the other keys have the output for themselves."""


class FailingKey:
    """The chunks of a key whose first one could not be delivered, the oldest first."""

    def __init__(self, not_before: float) -> None:
        self.chunks: deque[StoredChunk] = deque()
        self.retry: Retry | None = None
        """How the first of them is tried again; None where it has not been tried yet."""
        self.not_before = not_before
        self.trying: str | None = None
        """The id of the chunk that is being tried."""

    @property
    def due(self) -> float:
        """When its first chunk may be tried."""
        return self.not_before if self.retry is None else self.retry.next_time

    def is_last(self, now: float) -> bool:
        """Return whether the next attempt is the last."""
        return self.retry is not None and self.retry.is_over(now)

    def wants_secondary(self, now: float) -> bool:
        """Return whether the next attempt goes to `<secondary>`."""
        return self.retry is not None and self.retry.wants_secondary(now)


class ChunkQueue:
    """Queued chunks, in order; those of failing keys apart. All times are a monotonic clock's seconds.

    Attributes:
        peer: the schedule of a peer that may be down, None while it is known to answer.
        failing: the keys that fail, in the order in which they began to.
        changed: set when another chunk may be tried; whoever waited for it clears it.
    """

    def __init__(self, options: BufferOptions, *, has_secondary: bool = False) -> None:
        self.peer: Retry | None = None
        self.failing: dict[ChunkKey, FailingKey] = {}
        self.changed = asyncio.Event()
        self._options = options
        self._has_secondary = has_secondary
        self._ready: deque[StoredChunk] = deque()
        self._numbers: dict[str, int] = {}
        self._last_number = 0
        self._suspects: set[ChunkKey] = set()
        self._probe: str | None = None
        self._probed_fresh = False
        self._failed_at = -math.inf
        self._patience_until = -math.inf
        self._others_until = -math.inf

    def __len__(self) -> int:
        return len(self._ready) + sum(len(failing.chunks) for failing in self.failing.values())

    def __iter__(self) -> Iterator[StoredChunk]:
        return chain(self._ready, *(failing.chunks for failing in self.failing.values()))

    @property
    def retry(self) -> Retry | None:
        """How the output is tried again: the peer, else the key that has failed for longest; None while none does."""
        states = (failing.retry for failing in self.failing.values() if failing.retry is not None)
        return self.peer or min(states, key=lambda retry: retry.start, default=None)

    def retry_of(self, chunk: StoredChunk) -> Retry | None:
        """Return how a chunk that is being tried has failed before."""
        failing = self.failing.get(chunk.key)
        return failing.retry if failing is not None and failing.trying == chunk.id else None

    def takes_by_age(self, key: ChunkKey, most: int) -> bool:
        """Return whether a chunk that is old but not full may be queued while `most` wait; failing keys wait apart."""
        failing = self.failing.get(key)
        if failing is not None:
            return len(failing.chunks) < most
        # while the peer may be down, one of a key that has not failed is enough to find out
        return not self._ready or (len(self._ready) if self.peer is None else len(self)) < most

    def append(self, chunk: StoredChunk) -> None:
        """Queue a chunk behind the others."""
        self._last_number += 1
        self._numbers[chunk.id] = self._last_number
        failing = self.failing.get(chunk.key)
        (self._ready if failing is None else failing.chunks).append(chunk)
        self.changed.set()

    def take(self, now: float) -> StoredChunk | None:
        """Return the chunk to be tried now, None where none is due. It is owed `delivered`, `failed` or another."""
        if not self.failing:
            return self._ready.popleft() if self._ready else None
        due = (each for each in self._waiting() if self._moment(each, now) <= now)
        failing = min(due, key=lambda each: (not each.is_last(now), each.due), default=None)
        is_fresh_due = bool(self._ready) and self._moment_of_others() <= now
        if is_fresh_due and (failing is None or (self.peer is not None and not self._probed_fresh)):
            return self._tried(self._ready.popleft(), is_fresh=True)
        if failing is None:
            return None
        chunk = failing.chunks.popleft()
        failing.trying = chunk.id
        return chunk if failing.wants_secondary(now) else self._tried(chunk, is_fresh=False)

    @property
    def is_peer_suspected(self) -> bool:
        """Whether several keys have failed since the last chunk was delivered."""
        return len(self._suspects) > 1

    def take_any(self, *, without: Collection[ChunkKey]) -> StoredChunk | None:
        """Return a chunk whatever is due, those of keys that do not fail first; for the drain."""
        if self._ready:
            return self._ready.popleft()
        for key, failing in self.failing.items():
            if key not in without and failing.chunks and failing.trying is None:
                chunk = failing.chunks.popleft()
                failing.trying = chunk.id
                return chunk
        return None

    def wait(self, now: float) -> float | None:
        """Return seconds until a chunk is due; None where only a change brings one."""
        moments = [self._moment(failing, now) for failing in self._waiting()]
        if self._ready:
            moments.append(self._moment_of_others())
        soonest = min(moments, default=math.inf)
        return None if soonest == math.inf else max(0.0, soonest - now)

    def delivered(self, chunk: StoredChunk, *, by_secondary: bool) -> bool:
        """Hear that a chunk is delivered; returns whether it, or the peer, had failed before."""
        was_failing = self.peer is not None
        failing = self._ended(chunk)
        if failing is not None:
            was_failing = True
            self._ready.extendleft(reversed(failing.chunks))
            self._forget(chunk.key)
        if not by_secondary:
            self._suspects.clear()
            self.peer = None
        self.changed.set()
        return was_failing

    def failed(self, chunk: StoredChunk, now: float, *, took: float, by_secondary: bool, after: float | None) -> Retry:
        """Hear of a failed attempt and return the chunk's schedule, which says whether that was the last.

        The chunk is owed `put_back` or `gave_up`.

        Args:
            chunk: that was tried.
            now: the time.
            took: seconds that the attempt has taken.
            by_secondary: whether it went to `<secondary>`, which says nothing about the peer.
            after: seconds for which the peer asks for patience, None where it does not.
        """
        failing = self.failing.get(chunk.key)
        if failing is None:
            failing = self._begin(chunk.key, now)
        if failing.retry is None:
            failing.retry = Retry(self._options, now, has_secondary=self._has_secondary)
        else:
            failing.retry.failed(now)
        failing.trying = failing.trying or chunk.id
        if chunk.key in self._suspects and not by_secondary:
            self._suspect(now, after)
        if after is not None:
            failing.retry.postpone(now + after)
        self._others_until = now + OTHERS_SHARE * took
        return failing.retry

    def put_back(self, chunk: StoredChunk) -> None:
        """Queue a chunk again, where it was."""
        self._ended(chunk)
        failing = self.failing.get(chunk.key)
        self._insert(self._ready if failing is None else failing.chunks, chunk)
        self.changed.set()

    def gave_up(self, chunk: StoredChunk, now: float) -> None:
        """Hear that a chunk is tried no more; what waits behind it is tried from the beginning."""
        failing = self._ended(chunk)
        if failing is not None:
            failing.retry, failing.not_before = None, now
            if not failing.chunks:
                self._forget(chunk.key)
            elif self.peer is not None:
                self.peer = Retry(self._options, now, has_secondary=self._has_secondary)
        self.changed.set()

    def drop(self) -> StoredChunk | None:
        """Take the oldest chunk out to make room, one of a key that fails before others."""
        for key, failing in self.failing.items():
            if failing.chunks:
                chunk = failing.chunks.popleft()
                if failing.trying is None:
                    failing.retry, failing.not_before = None, failing.due
                    if not failing.chunks:
                        self._forget(key)
                del self._numbers[chunk.id]
                return chunk
        if not self._ready:
            return None
        chunk = self._ready.popleft()
        del self._numbers[chunk.id]
        return chunk

    def next_attempt(self, chunk: StoredChunk, now: float) -> float:
        """Return when a chunk that has just failed is tried again at the soonest."""
        failing = self.failing.get(chunk.key)
        return now if failing is None else max(failing.due, now if self.peer is None else self.peer.next_time)

    def _waiting(self) -> Iterator[FailingKey]:
        return (failing for failing in self.failing.values() if failing.chunks and failing.trying is None)

    def _moment(self, failing: FailingKey, now: float) -> float:
        """Return when a failing key's first chunk is tried."""
        if failing.wants_secondary(max(now, failing.due)):
            return failing.due
        if self.peer is not None:
            return math.inf if self._probe is not None else max(failing.due, self.peer.next_time)
        return max(failing.due, self._others_until) if self._ready else failing.due

    def _moment_of_others(self) -> float:
        """Return when the next chunk of a key that does not fail is tried."""
        if self.peer is None:
            return -math.inf
        if self._probe is not None:
            return math.inf
        if self.is_peer_suspected:
            return self.peer.next_time
        soon = self._failed_at + min(PROBE_SECONDS, float(self._options.retry_wait))
        return min(self.peer.next_time, max(soon, self._patience_until))

    def _tried(self, chunk: StoredChunk, *, is_fresh: bool) -> StoredChunk:
        if self.peer is not None:
            self._probe, self._probed_fresh = chunk.id, is_fresh
        return chunk

    def _ended(self, chunk: StoredChunk) -> FailingKey | None:
        """Note that an attempt is over; returns the key's trouble, where the chunk was the one that had it."""
        if self._probe == chunk.id:
            self._probe = None
        failing = self.failing.get(chunk.key)
        if failing is None or failing.trying != chunk.id:
            return None
        failing.trying = None
        return failing

    def _begin(self, key: ChunkKey, now: float) -> FailingKey:
        """Put the chunks of a key that begins to fail apart."""
        failing = self.failing[key] = FailingKey(now)
        failing.chunks.extend(each for each in self._ready if each.key == key)
        if failing.chunks:
            self._ready = deque(each for each in self._ready if each.key != key)
        self._suspects.add(key)
        return failing

    def _suspect(self, now: float, after: float | None) -> None:
        """Count one more failure of a peer that may be down."""
        self._failed_at = now
        if self.peer is None:
            self.peer = Retry(self._options, now, has_secondary=self._has_secondary)
            self._probed_fresh = False
        else:
            self.peer.failed(now)
            if self.peer.is_over(now):  # the limit is for chunks; the pauses begin anew, as fluentd's would
                self.peer = Retry(self._options, now, has_secondary=self._has_secondary)
        if after is not None:
            self._patience_until = now + after
            self.peer.postpone(self._patience_until)

    def _forget(self, key: ChunkKey) -> None:
        del self.failing[key]
        self._suspects.discard(key)
        if not self._suspects:
            self.peer = None

    def _insert(self, chunks: deque[StoredChunk], chunk: StoredChunk) -> None:
        number = self._numbers[chunk.id]
        place = next((place for place, each in enumerate(chunks) if self._numbers[each.id] > number), len(chunks))
        chunks.insert(place, chunk)

    def purge(self, chunk: StoredChunk) -> None:
        """Forget a chunk that was delivered or given up."""
        self._numbers.pop(chunk.id, None)
