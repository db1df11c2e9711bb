"""`@type kafka_buffered`: chunks, what is confirmed of them, and what becomes of the rest."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from logpipe import ChunkKey, DeliveryError, EventBatch, PermanentError, Record
from logpipe.engine.hosts.host import SystemClock
from logpipe.testing import FakeHost, Pipeline, build, drive, wait_for
from logpipe_kafka.out_kafka_buffered import KafkaBufferedOutput
from tests.services.mock_kafka import Error, MockKafka, Request
from tests.services.topics import Message

Read = Callable[[str], Awaitable[list[Message]]]

TIME = 1_466_000_000_123_456_789


class SomeChunk:
    """A chunk as a buffer would hand it over."""

    def __init__(self, *batches: EventBatch, key: ChunkKey | None = None) -> None:
        self.id = "0" * 32
        self.key = key or ChunkKey()
        self.size = 0
        self.progress: Any = None
        self._batches = batches

    def __len__(self) -> int:
        return sum(map(len, self._batches))

    def batches(self) -> Iterator[EventBatch]:
        """Yield the batches."""
        return iter(self._batches)

    def payloads(self) -> Iterator[bytes]:
        """Yield nothing."""
        return iter(())


def batch(*records: Record, tag: str = "app") -> EventBatch:
    """Return a batch of these records."""
    return EventBatch(tag, [TIME] * len(records), list(records))


@pytest.fixture
def host() -> FakeHost:
    """A host with a real clock."""
    return FakeHost(clock=SystemClock())


@asynccontextmanager
async def started(mock: MockKafka, host: FakeHost, conf: str = "") -> AsyncIterator[KafkaBufferedOutput]:
    """Run an output while the context is open."""
    output: KafkaBufferedOutput = build(KafkaBufferedOutput, f"brokers {mock.bootstrap}\n{conf}", host=host)
    await output.start()
    try:
        yield output
    finally:
        await output.stop()
        await host.cancel_tasks()


def values(messages: list[Message]) -> list[Any]:
    """Return the payloads, read as JSON."""
    return [json.loads(message.value or b"null") for message in messages]


async def test_through_a_buffer(mock: MockKafka, read: Read) -> None:
    """Events go through the buffer that 0.12's flat parameters describe; chunks hold one tag."""
    conf = f"brokers {mock.bootstrap}\nflush_interval 0.1\nbuffer_type memory\nretry_limit 3\nnum_threads 2"
    async with drive(KafkaBufferedOutput, conf) as stage:
        assert not stage.warnings
        await stage.feed("one", {"n": 1}, {"topic": "other", "n": 2})
        await stage.feed("two", {"n": 3})
        await stage.flush()

    assert values(await read("one")) == [{"n": 1}]
    assert values(await read("two")) == [{"n": 3}]
    assert values(await read("other")) == [{"topic": "other", "n": 2}]


async def test_field_names(mock: MockKafka, read: Read, host: FakeHost) -> None:
    """The fields that address a message can have other names; `partition_key` names the one with the number."""
    mock.create_topic("a", partitions=4)
    async with started(
        mock, host, "topic_key to\nmessage_key_key key\npartition_key_key hash\npartition_key number"
    ) as output:
        await output.write(
            SomeChunk(batch({"to": "a", "key": "k", "number": 2}, {"to": "a", "topic": "b", "hash": "x"}))
        )

    first, second = sorted(await read("a"), key=lambda message: message.key or b"~")
    assert (first.key, first.partition) == (b"k", 2)
    assert second.key is None


async def test_use_event_time(mock: MockKafka, read: Read, host: FakeHost) -> None:
    """Kafka's timestamp can be the event's time."""
    async with started(mock, host, "use_event_time true") as output:
        await output.write(SomeChunk(batch({"n": 1}, {"n": 2, "message_key": "k"})))

    assert [message.timestamp for message in await read("app")] == [TIME // 10**6] * 2


async def test_chunk_stays_as_it_is(mock: MockKafka, host: FakeHost) -> None:
    """What is excluded or included changes nothing in the chunk, which may be written again."""
    async with started(
        mock, host, "exclude_topic_key true\nexclude_message_key true\noutput_include_tag true"
    ) as output:
        record = {"topic": "a", "message_key": "k", "n": 1}
        await output.write(SomeChunk(batch(record)))

    assert record == {"topic": "a", "message_key": "k", "n": 1}


async def test_second_attempt_sends_what_was_not_confirmed(mock: MockKafka, read: Read, host: FakeHost) -> None:
    """When a part of a chunk fails, only that part is sent again."""
    mock.fail_topic("missing", Error.UNKNOWN_TOPIC_OR_PARTITION)
    async with started(mock, host, "max_send_retries 0") as output:
        chunk = SomeChunk(
            batch({"topic": "a", "n": 1}, {"topic": "missing", "n": 2}, {"topic": "a", "n": 3}),
            batch(
                {"topic": "missing", "n": 4, "message_key": "k"}, {"topic": "bad name", "n": 5}, {"topic": "a", "n": 6}
            ),
        )
        with pytest.raises(DeliveryError, match="delivery to Kafka failed: UNKNOWN_TOPIC_OR_PARTITION"):
            await output.write(chunk)
        assert list(chunk.progress) == [1, 0, 1, 0, 1, 1]

        mock.fail_topic("missing", Error.NONE)
        await output.write(chunk)

    assert sorted(value["n"] for value in values(await read("a"))) == [1, 3, 6]
    assert sorted(value["n"] for value in values(await read("missing"))) == [2, 4]
    assert [record["n"] for _, _, record, _ in host.errors] == [5]


async def test_write_gives_up_when_brokers_are_away(mock: MockKafka, read: Read, host: FakeHost) -> None:
    """A chunk goes back to its buffer after the configured attempts, and arrives when brokers are back."""
    mock.stop_broker()
    async with started(mock, host, "max_send_retries 0") as output:
        chunk = SomeChunk(batch({"n": 1}, {"n": 2, "partition_key": "k"}))
        with pytest.raises(DeliveryError, match="Unable connect"):
            await output.write(chunk)
        assert host.metrics.snapshot()["in_flight_bytes"] == 0

        mock.start_broker()
        await output.write(chunk)

    assert sorted(value["n"] for value in values(await read("app"))) == [1, 2]


async def test_large_chunk_while_brokers_are_away(mock: MockKafka, host: FakeHost) -> None:
    """A chunk that is larger than what may be on its way goes back as well."""
    mock.stop_broker()
    async with started(mock, host, "max_send_retries 0") as output:
        chunk = SomeChunk(*(batch(*({"text": "x" * 1000} for _ in range(1000))) for _ in range(8)))
        with pytest.raises(DeliveryError):
            await output.write(chunk)
        assert host.metrics.snapshot()["in_flight_bytes"] == 0


async def test_refused_topic(mock: MockKafka, read: Read, host: FakeHost) -> None:
    """A topic that refuses us makes the chunk one for <secondary>; the other topics get theirs."""
    mock.create_topic("secret")
    mock.fail_topic("secret", Error.TOPIC_AUTHORIZATION_FAILED)
    async with started(mock, host, "max_send_retries 0") as output:
        chunk = SomeChunk(batch({"topic": "a", "n": 1}, {"topic": "secret", "n": 2}, {"topic": "a", "n": 3}))
        with pytest.raises(PermanentError, match="topic secret refuses it: TOPIC_AUTHORIZATION_FAILED"):
            await output.write(chunk)

    assert [value["n"] for value in values(await read("a"))] == [1, 3]
    assert list(chunk.progress) == [1, 0, 1]


async def test_message_too_large(mock: MockKafka, read: Read, host: FakeHost) -> None:
    """A message that no broker takes goes to @ERROR, and the chunk is done."""
    mock.create_topic("app", partitions=1)
    mock.fail_partition("app", 0, Error.MSG_SIZE_TOO_LARGE, Error.MSG_SIZE_TOO_LARGE, Error.NONE)
    async with started(mock, host) as output:
        await output.write(SomeChunk(batch({"n": 1}, {"n": 2})))

    assert [record for _, _, record, _ in host.errors] == [{"n": 1}]
    assert values(await read("app")) == [{"n": 2}]


async def test_discard(mock: MockKafka, host: FakeHost) -> None:
    """With discard_kafka_delivery_failed a chunk that can't be delivered is thrown away, and counted."""
    mock.fail_topic("missing", Error.UNKNOWN_TOPIC_OR_PARTITION)
    async with started(mock, host, "max_send_retries 0\ndiscard_kafka_delivery_failed true") as output:
        await output.write(SomeChunk(batch({"topic": "missing"}, {"topic": "a"})))

    assert host.metrics.snapshot()["discarded_records"] == 1


async def test_two_chunks_at_a_time(mock: MockKafka, read: Read) -> None:
    """Concurrent writes share topics and do not mix up what is confirmed."""
    conf = f"brokers {mock.bootstrap}\nnum_threads 4\nflush_interval 0.05\nbuffer_chunk_limit 2k\ndefault_topic t"
    async with drive(KafkaBufferedOutput, conf) as stage:
        for start_at in range(0, 1000, 10):
            await stage.feed(f"tag{start_at % 30}", *({"n": n} for n in range(start_at, start_at + 10)))
        await stage.flush()

    assert sorted(value["n"] for value in values(await read("t"))) == list(range(1000))


async def test_shutdown_while_brokers_are_away(mock: MockKafka) -> None:
    """A write that is cancelled leaves nothing behind."""
    conf = f"brokers {mock.bootstrap}\nflush_interval 0.01"
    async with drive(KafkaBufferedOutput, conf) as stage:
        await deliver_one(stage)
        mock.stop_broker()
        await stage.feed("app", {"n": 2})
        await wait_for(lambda: stage.metric("in_flight_bytes") > 0, "the chunk to be on its way")
        stop_quickly(stage)


def stop_quickly(stage: Pipeline) -> None:
    """Have the engine wait no longer than a moment for what can't be delivered."""
    object.__setattr__(stage.graph._system, "shutdown_timeout", 0.2)


async def deliver_one(stage: Pipeline) -> None:
    """Deliver one event."""
    await stage.feed("app", {"n": 1})
    await stage.flush()


async def test_secondary_gets_what_is_refused(mock: MockKafka) -> None:
    """Through the engine: the refused chunk goes to <secondary>."""
    mock.create_topic("secret")
    mock.fail_topic("secret", Error.TOPIC_AUTHORIZATION_FAILED)
    conf = f"""
      brokers {mock.bootstrap}
      max_send_retries 0
      flush_interval 0.05
      <secondary>
        @type kafka_buffered
        brokers {mock.bootstrap}
        topic_key nothing
        default_topic rescued
      </secondary>
    """
    mock.count_requests()
    async with drive(KafkaBufferedOutput, conf) as stage:
        await stage.feed("app", {"topic": "secret"})
        await wait_for(lambda: stage.metric("write_secondary_count") == 1, "the secondary")

    assert Request.PRODUCE in mock.requests()
