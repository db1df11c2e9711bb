"""Feeds an output batch by batch and knows which of them it owes for no more; for tests of what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable

from logpipe import Receipt, Record
from logpipe.testing import Pipeline, wait_for
from tests.services.mock_kafka import MockKafka
from tests.services.topics import Message


def conf(mock: MockKafka, more: str = "") -> str:
    """Return the body of a section; everything goes to the topic t unless a record says otherwise."""
    return f"brokers {mock.bootstrap}\ndefault_topic t\n{more}"


def numbers(messages: Iterable[Message]) -> list[int]:
    """Return the field n of each message."""
    return [json.loads(message.value or b"")["n"] for message in messages]


class Feeder:
    """Feeds batches and knows which of them have settled."""

    def __init__(self, stage: Pipeline) -> None:
        self.stage = stage
        self.settled = 0
        self.fed = 0

    async def feed(self, *records: Record, tag: str = "app") -> None:
        """Feed one batch."""
        receipt = Receipt(self._settle)
        await self.stage.feed(tag, *records, receipt=receipt)
        receipt.release()
        self.fed += 1

    async def all_settled(self) -> None:
        """Wait for all receipts."""
        await wait_for(lambda: self.settled == self.fed, "all receipts to settle")

    def _settle(self) -> None:
        self.settled += 1


def stop_quickly(stage: Pipeline) -> None:
    """Have the engine wait no longer than a moment for what can't be delivered."""
    object.__setattr__(stage.graph._system, "shutdown_timeout", 0.2)
