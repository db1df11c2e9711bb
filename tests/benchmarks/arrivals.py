"""What has arrived in a topic, asked often and at little cost to the broker and to the machine."""

from __future__ import annotations

import asyncio
import time
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition

QUIET_SECONDS = 2.0


class Arrivals:
    """The ends of one topic's partitions. Use it as a context manager, outside of any event loop."""

    def __init__(self, bootstrap: str, topic: str, *, partitions: int) -> None:
        self._runner = asyncio.Runner()
        self._bootstrap = bootstrap
        self._partitions = [TopicPartition(topic, number) for number in range(partitions)]
        self._consumer: AIOKafkaConsumer
        self._seen = 0
        self._changed = time.perf_counter()

    def count(self) -> int:
        """Return how many messages have arrived; of the last batch in each partition Tansu counts the first only."""
        ends: dict[TopicPartition, int] = self._runner.run(self._consumer.end_offsets(self._partitions))
        return sum(ends.values())

    def all_since(self, expected: int) -> float | None:
        """Return how many seconds ago the last of the expected messages arrived, None while more are on their way.

        Two seconds without any count as the end: Tansu never says that all are there.
        """
        now = time.perf_counter()
        if (count := self.count()) != self._seen:
            self._seen, self._changed = count, now
        quiet = now - self._changed
        return quiet if count >= expected or (count and quiet > QUIET_SECONDS) else None

    def __enter__(self) -> Self:
        self._runner.__enter__()
        self._runner.run(self._connect())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._consumer.stop())
        self._runner.close()

    async def _connect(self) -> None:
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap)
        await self._consumer.start()
