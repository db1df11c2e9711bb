"""Counts the events that arrive at the broker."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from aiokafka import AIOKafkaConsumer


class Topics:
    """A consumer of all topics of a broker.

    Attributes:
        arrived: the number of lines from the node's logs, by topic.
        own: the number of lines from logpipe's own log, which the article's last section matches, too.
        latest: the last line of each topic, as the record it became.
    """

    def __init__(self) -> None:
        self.arrived: Counter[str] = Counter()
        self.own = 0
        self.latest: dict[str, dict[str, Any]] = {}
        self._next: dict[tuple[str, int], int] = {}

    async def follow(self, broker: str) -> None:
        """Read all topics, including those created meanwhile, until cancelled."""
        consumer = AIOKafkaConsumer(bootstrap_servers=broker, auto_offset_reset="earliest", metadata_max_age_ms=500)
        # By pattern, because a request for a topic by its name would create it.
        consumer.subscribe(pattern="^[^_]")
        async with consumer:
            async for message in consumer:
                place = (message.topic, message.partition)
                # Whenever a topic is added, the consumer begins the others again.
                if message.offset >= self._next.get(place, 0):
                    self._next[place] = message.offset + 1
                    self._count(message.topic, json.loads(message.value))

    def _count(self, topic: str, record: dict[str, Any]) -> None:
        if "log" not in record:
            self.own += 1
            return
        self.arrived[topic] += 1
        self.latest[topic] = record
