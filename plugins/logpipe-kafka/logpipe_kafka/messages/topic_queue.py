"""The queue of one topic, and the state of its partitions."""

from __future__ import annotations

import math
import random
import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from logpipe import LogpipeError
from logpipe_kafka.messages.batch import Batch, Owner

FIRST_LIMIT: Final = 112 << 10
"""Initial size of a batch. glibc reuses buffers below its limit for mapped memory; larger ones cost page faults."""
LARGEST_LIMIT: Final = 448 << 10
"""Size of a batch when many wait; brokers accept 1 MiB by default."""
SMALLEST_LIMIT: Final = 1 << 10
BACKLOG: Final = 8
"""Length of the queue from which larger batches are made: then round trips to the broker are the bottleneck."""
PARALLEL: Final = 4
"""Partitions used at the same time for batches without a fixed one, slow and failing ones not counted."""
SLOW_SECONDS: Final = 0.5

_TOPIC: Final = re.compile(r"[a-zA-Z0-9._-]{1,249}")


class InvalidTopicName(LogpipeError):  # noqa: N818 - named after the problem
    """No topic can have that name."""

    def __init__(self, name: str) -> None:
        shown = name if len(name) < 60 else f"{name[:50]}… ({len(name)} characters)"
        super().__init__(f"{shown!r} can't name a topic: letters, digits, '.', '_' and '-' can, 249 at most")


class TopicQueue:
    """Batches for one topic, in order; those for a fixed partition are in a queue of their own.

    Attributes:
        topic: its name.
        partitions: its partitions, none while they are unknown.
        limit: size of the next batch.
        largest: size that a batch must not exceed, because the brokers refused a larger one.
        size: bytes that are queued or in flight.
        busy: the partitions with a worker, each with its batch in flight.
        problem: why the last attempt failed; None when it did not.
        problem_since: when the attempts began to fail, by the loop's clock.
        used_at: when it was last used, by the loop's clock.

    Raises:
        InvalidTopicName: no topic can have that name.
    """

    def __init__(self, topic: str) -> None:
        if not _TOPIC.fullmatch(topic) or topic in {".", ".."}:
            raise InvalidTopicName(topic)
        self.topic = topic
        self.partitions: tuple[int, ...] = ()
        self.limit = FIRST_LIMIT
        self.largest = LARGEST_LIMIT
        self.size = 0
        self.busy: dict[int, Batch | None] = {}
        self.is_locating = False
        self.problem: Exception | None = None
        self.problem_since = 0.0
        self.used_at = 0.0
        self._anywhere: deque[Batch] = deque()
        self._fixed: dict[int, deque[Batch]] = {}
        self._turn = random.randrange(1 << 16)
        self._taken_at: dict[int, float] = {}
        self._when_located: list[tuple[Owner, Callable[[], None]]] = []
        self._pauses: dict[int | None, tuple[int, float]] = {}

    def put(self, batch: Batch) -> None:
        """Queue a batch."""
        self._queue_of(batch).append(batch)
        if len(self._anywhere) >= BACKLOG:
            self.limit = min(self.limit * 2, self.largest)

    def put_back(self, *batches: Batch) -> None:
        """Queue batches again, in this order before all others."""
        for batch in reversed(batches):
            self._queue_of(batch).appendleft(batch)

    def take(self, partition: int, now: float) -> Batch | None:
        """Return the next batch for a partition, None if there is none."""
        self._taken_at[partition] = now
        fixed = self._fixed.get(partition)
        if fixed:
            batch = fixed.popleft()
        elif self._anywhere:
            batch = self._anywhere.popleft()
            if not self._anywhere:
                self.limit = min(FIRST_LIMIT, self.largest)
        else:
            self.busy[partition] = None
            return None
        self.busy[partition] = batch
        return batch

    def start(self, now: float) -> Iterator[int]:
        """Yield the partitions with pending batches and no worker, and mark them as busy."""
        for partition, batches in self._fixed.items():
            if batches and partition not in self.busy:
                yield self._started(partition, now)
        wanted = min(len(self._anywhere), PARALLEL - sum(self._is_quick(partition, now) for partition in self.busy))
        for _ in self.partitions:
            if wanted <= 0:
                return
            self._turn += 1
            partition = self.partitions[self._turn % len(self.partitions)]
            if partition not in self.busy:
                wanted -= 1
                yield self._started(partition, now)

    def stop(self, partition: int) -> None:
        """Record that a partition has no worker any more."""
        del self.busy[partition]
        self._taken_at.pop(partition, None)

    def has_queued(self, partition: int | None) -> bool:
        """Return whether batches for that partition, or for any, are queued."""
        return bool(self._anywhere if partition is None else self._fixed.get(partition))

    def batches(self) -> Iterator[Batch]:
        """Yield all batches, queued or in flight."""
        yield from (batch for batch in self.busy.values() if batch is not None)
        yield from self._anywhere
        for batches in self._fixed.values():
            yield from batches

    def remove_queued(self) -> list[Batch]:
        """Remove and return all batches that are not in flight."""
        found = [*self._anywhere, *(batch for batches in self._fixed.values() for batch in batches)]
        self._anywhere.clear()
        self._fixed.clear()
        return found

    @property
    def is_idle(self) -> bool:
        """Whether nothing is queued, in flight or waiting for the partitions."""
        return not self.busy and not self.is_locating and not self._when_located and not any(self.batches())

    @property
    def has_work(self) -> bool:
        """Whether something is queued or waiting for the partitions."""
        return bool(self._anywhere or self._when_located or any(self._fixed.values()))

    def shrink(self, refused: int) -> None:
        """Make smaller batches from now on: one of `refused` bytes was too large."""
        self.largest = max(SMALLEST_LIMIT, min(self.largest, refused // 2))
        self.limit = min(self.limit, self.largest)

    def when_located(self, owner: Owner, call: Callable[[], None]) -> None:
        """Register `call`, to be called when the partitions are known."""
        self._when_located.append((owner, call))

    def located(self, partitions: tuple[int, ...]) -> None:
        """Set the partitions, and call the functions waiting for them."""
        self.partitions = partitions
        waiting, self._when_located = self._when_located, []
        for _, call in waiting:
            call()

    def forget(self, owner: Owner) -> None:
        """Unregister an owner's functions."""
        self._when_located = [waiting for waiting in self._when_located if waiting[0] is not owner]

    def owners(self) -> set[Owner]:
        """Return the owners of everything queued, in flight, or waiting for the partitions."""
        return {batch.owner for batch in self.batches()} | {owner for owner, _ in self._when_located}

    def pause(self, partition: int | None, now: float, *, first: float, longest: float) -> int:
        """Record a failure with a partition (None: of the look-up) and begin a pause; returns the failures in a row.

        Pauses double from `first` to `longest`. Those of a second or more end on a whole second, so that topics that
        fail together are looked up together.
        """
        failures, _ = self._pauses.get(partition, (0, 0.0))
        seconds = min(longest, first * 2.0**failures)
        until = now + seconds
        self._pauses[partition] = (failures + 1, until if seconds < 1 else math.ceil(until))
        return failures + 1

    def pause_left(self, partition: int | None, now: float) -> float:
        """Return the remaining seconds of the pause."""
        return max(0.0, self._pauses.get(partition, (0, 0.0))[1] - now)

    def resume(self, partition: int | None) -> None:
        """Record a success with a partition: the next failure begins with the first pause."""
        self._pauses.pop(partition, None)

    def _started(self, partition: int, now: float) -> int:
        self.busy[partition] = None
        self._taken_at[partition] = now
        return partition

    def _is_quick(self, partition: int, now: float) -> bool:
        return partition not in self._pauses and now - self._taken_at[partition] < SLOW_SECONDS

    def _queue_of(self, batch: Batch) -> deque[Batch]:
        if batch.partition is None:
            return self._anywhere
        return self._fixed.setdefault(batch.partition, deque())
