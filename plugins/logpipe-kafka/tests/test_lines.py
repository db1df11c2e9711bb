"""Batches of lines become the messages that their records would: topic, key and time stand beside the bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from logpipe import EventBatch, Output, Record
from logpipe.testing import drive
from logpipe_kafka.out_kafka import KafkaOutput
from logpipe_kafka.out_kafka2 import Kafka2Output
from logpipe_kafka.out_kafka_buffered import KafkaBufferedOutput
from tests.event.lines import line_batch
from tests.services.mock_kafka import MockKafka
from tests.services.topics import Message

Read = Callable[[str], Awaitable[list[Message]]]

TIME = 1_466_000_000_123_456_789
RECORDS: list[Record] = [
    {"topic": "one", "message_key": "a", "partition": 1, "n": 1},
    {"topic": "two", "partition": 0, "n": 2},
    {"n": 3, "partition": 1, "message_key": "b"},
    {"topic": 4, "n": 4},
    {"topic": "one", "partition": 0, "n": 5},
]
BUFFER = "<buffer topic>\n@type memory\nflush_mode immediate\n</buffer>\n"
CONFS: dict[type[Output[Any]], str] = {
    KafkaOutput: "",
    KafkaBufferedOutput: "flush_interval 0.1\nbuffer_type memory\n",
    Kafka2Output: f"use_event_time true\n<format>\n@type json\n</format>\n{BUFFER}",
}


@pytest.mark.parametrize("changes", ["", "exclude_topic_key true\nexclude_message_key true\n"])
@pytest.mark.parametrize("cls", CONFS)
async def test_the_same_messages(cls: type[Output[Any]], changes: str, mock: MockKafka, read: Read) -> None:
    """And the same event cannot be one; both are sent to the same topics, one after the other."""
    failed: list[list[Record]] = []
    times = [TIME + number for number in range(len(RECORDS))]
    records = [dict(record) for record in RECORDS]
    for batch in (EventBatch("app", [*times], records), line_batch(*RECORDS, tag="app", times=times)):
        async with drive(cls, f"brokers {mock.bootstrap}\ndefault_topic three\n{changes}{CONFS[cls]}") as stage:
            await stage.emit(batch)
        failed.append([error[2] for error in stage.errors])
    assert failed[0] == failed[1]
    assert len(failed[0]) == (cls is not Kafka2Output)  # whose chunk key makes a text of a number
    found = [(topic, message) for topic in ("one", "two", "three") for message in await read(topic)]
    seen = Counter(
        (topic, message.partition, message.key, message.value, cls is not Kafka2Output or message.timestamp)
        for topic, message in found
    )
    assert len(seen) == 4
    assert set(seen.values()) == {2}
