"""What all tests of this plugin share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from tests.services import topics
from tests.services.mock_kafka import MockKafka
from tests.services.topics import Message


@pytest.fixture
def mock() -> Iterator[MockKafka]:
    """A mock cluster of three brokers."""
    with MockKafka(3) as cluster:
        yield cluster


@pytest.fixture
def read(mock: MockKafka) -> Callable[..., object]:
    """Return the function to be awaited for every message of a topic of the mock cluster."""

    async def read_topic(topic: str) -> list[Message]:
        return await asyncio.to_thread(topics.read_topic, mock.bootstrap, topic)

    return read_topic
