"""Limits the bytes that are held at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from logpipe_kafka.messages.topic_queue import TopicQueue

LIMIT: Final = 4 << 20


class Budget:
    """Bytes of messages that are queued or in flight.

    A topic that fails by itself, while brokers answer, has a share of its own, so that it can't use up the others'.

    Attributes:
        size: all bytes.
        failing: topics whose last attempt failed.
    """

    def __init__(self, limit: int, answers: Callable[[], bool]) -> None:
        self.size = 0
        self.failing: set[TopicQueue] = set()
        self._limit = limit
        self._answers = answers
        self._changed = asyncio.Event()
        self._turn = asyncio.Lock()

    def charge(self, queue: TopicQueue, amount: int) -> None:
        """Add bytes that are held for a topic; negative ones are released."""
        queue.size += amount
        self.size += amount
        if amount < 0:
            self._changed.set()

    def fail(self, queue: TopicQueue) -> None:
        """Record that a topic fails."""
        self.failing.add(queue)
        self._changed.set()

    def recover(self, queue: TopicQueue) -> None:
        """Record that a topic no longer fails."""
        self.failing.discard(queue)
        self._changed.set()

    def is_full_for(self, queue: TopicQueue) -> bool:
        """Return whether the share of a failing topic is used up."""
        return queue in self.failing and self._answers() and self._failing_size() >= self._limit // 2

    async def room(self, unless: Callable[[], bool] = lambda: False) -> None:
        """Wait until more may be held, or `unless()` is true; in order of arrival."""
        async with self._turn:
            while self._load() >= self._limit and not unless():
                await self._wait()

    def wake(self) -> None:
        """Make all waiters check again."""
        self._changed.set()

    async def empty(self) -> None:
        """Wait until nothing is held."""
        while self.size:
            await self._wait()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _load(self) -> int:
        # While no broker answers, every topic fails for the same reason, and the input must wait.
        return self.size - self._failing_size() if self._answers() else self.size

    def _failing_size(self) -> int:
        return sum(queue.size for queue in self.failing)
