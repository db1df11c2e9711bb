"""`@type kafka` while topics are missing, refused, or too many: one topic's trouble is its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from logpipe import Output, RetryLater
from logpipe.testing import FakeHost, ManualClock, configure, drive, wait_for
from logpipe_kafka.delivery.budget import LIMIT
from logpipe_kafka.messages.topic_guard import TooManyTopics, TopicGuard
from logpipe_kafka.messages.topic_queue import TopicQueue
from logpipe_kafka.out_kafka import KafkaOutput
from logpipe_kafka.out_kafka_buffered import KafkaBufferedOutput
from tests.services.feeding import Feeder, conf, numbers, stop_quickly
from tests.services.mock_kafka import Error, MockKafka, Request
from tests.services.topics import Message

Read = Callable[[str], Awaitable[list[Message]]]


async def test_unknown_topic_holds_up_no_other(mock: MockKafka, read: Read) -> None:
    """Events for a topic that does not exist wait for it, while others pass."""
    mock.fail_topic("missing", Error.UNKNOWN_TOPIC_OR_PARTITION)
    async with drive(KafkaOutput, conf(mock)) as stage:
        waiting, others = Feeder(stage), Feeder(stage)
        await waiting.feed({"topic": "missing", "n": 1}, {"topic": "missing", "n": 2, "message_key": "k"})
        for n in range(100):
            await others.feed({"n": n})
        await others.all_settled()
        assert not waiting.settled
        assert not stage.errors
        mock.fail_topic("missing", Error.NONE)
        await waiting.all_settled()

    assert numbers(await read("t")) == list(range(100))
    assert sorted(numbers(await read("missing"))) == [1, 2]


def failures(queue: TopicQueue) -> int:
    """Return how many times in a row a topic was asked for in vain."""
    return queue._pauses.get(None, (0, 0.0))[0]


async def test_unknown_topics_are_asked_for_together(mock: MockKafka) -> None:
    """Many unknown topics do not become many questions."""
    mock.count_requests()
    async with drive(KafkaOutput, conf(mock)) as stage:
        for number in range(20):
            mock.fail_topic(f"missing-{number}", Error.UNKNOWN_TOPIC_OR_PARTITION)
        await stage.feed("app", *({"topic": f"missing-{number}"} for number in range(20)))
        queues = stage.plugin(KafkaOutput)._delivery._queues
        await wait_for(lambda: all(failures(queue) > 4 for queue in queues.values()), "five answers for each topic")
        asked = mock.requests().count(Request.METADATA)
        stop_quickly(stage)

    assert len(queues) == 20
    assert asked < 40


async def test_topic_disappears(mock: MockKafka, read: Read) -> None:
    """A topic that is gone at run time is looked for, and asked for with pauses."""
    mock.create_topic("t", partitions=1)
    async with drive(KafkaOutput, conf(mock)) as stage:
        feeder = Feeder(stage)
        await feeder.feed({"n": 1})
        await feeder.all_settled()
        mock.fail_topic("t", Error.UNKNOWN_TOPIC_OR_PARTITION)
        mock.fail_partition("t", 0, *[Error.UNKNOWN_TOPIC_OR_PARTITION] * 5)
        await feeder.feed({"n": 2})
        await wait_for(lambda: any("t is tried again" in text for text in stage.log.texts()), "the failure")
        mock.fail_topic("t", Error.NONE)
        await feeder.all_settled()

        assert not stage.errors
        assert any(text.startswith("topic t takes messages again") for text in stage.log.texts("info"))
    assert numbers(await read("t")) == [1, 2]


async def test_refused_topic(mock: MockKafka, read: Read) -> None:
    """Events for a topic that we may not write to go to @ERROR with the reason, and others pass."""
    mock.create_topic("secret")
    mock.fail_topic("secret", Error.TOPIC_AUTHORIZATION_FAILED)
    async with drive(KafkaOutput, conf(mock, "max_send_retries 0")) as stage:
        feeder = Feeder(stage)
        await feeder.feed({"topic": "secret", "n": 1}, {"n": 2}, {"topic": "secret", "n": 3, "message_key": "k"})
        await feeder.all_settled()

        assert sorted(record["n"] for _, _, record, _ in stage.errors) == [1, 3]
        assert "topic secret refuses it: TOPIC_AUTHORIZATION_FAILED" in str(stage.errors[0][3])
    assert numbers(await read("t")) == [2]


async def test_one_refused_topic_among_many(mock: MockKafka) -> None:
    """Of two hundred topics the one that refuses us costs the others nothing; what it refuses is in @ERROR."""
    mock.create_topic("app-77")
    mock.fail_topic("app-77", Error.TOPIC_AUTHORIZATION_FAILED)
    async with drive(KafkaOutput, conf(mock, "max_send_retries 3")) as stage:
        feeder = Feeder(stage)
        for n in range(4):
            await feeder.feed(*({"topic": f"app-{topic}", "n": n} for topic in range(200)))
        await wait_for(lambda: stage.metric("emit_records") == 4 * 199, "all other topics")
        assert feeder.settled < 4
        await feeder.all_settled()

        assert {(record["topic"], record["n"]) for _, _, record, _ in stage.errors} == {("app-77", n) for n in range(4)}


async def test_refused_when_writing(mock: MockKafka) -> None:
    """The same where the brokers say so only when written to."""
    mock.create_topic("t", partitions=1)
    mock.fail_partition("t", 0, *[Error.TOPIC_AUTHORIZATION_FAILED] * 50)
    async with drive(KafkaOutput, conf(mock, "max_send_retries 0")) as stage:
        feeder = Feeder(stage)
        await feeder.feed({"n": 1}, {"n": 2})
        await feeder.all_settled()

        assert [record["n"] for _, _, record, _ in stage.errors] == [1, 2]


async def test_full_share_of_a_failing_topic(mock: MockKafka) -> None:
    """When enough waits for a topic that fails by itself, more for it is refused to the input; others pass."""
    mock.fail_topic("missing", Error.UNKNOWN_TOPIC_OR_PARTITION)
    async with drive(KafkaOutput, conf(mock)) as stage:
        feeder = Feeder(stage)
        await feeder.feed({"n": 1})
        await feeder.all_settled()
        text = "x" * 100_000

        async def fill() -> None:
            while True:
                await stage.feed("app", *({"topic": "missing", "text": text} for _ in range(5)))
                await asyncio.sleep(0.01)

        with pytest.raises(RetryLater, match="topic missing takes no messages now: UNKNOWN_TOPIC_OR_PARTITION"):
            await fill()
        assert stage.metric("in_flight_bytes") < LIMIT + 1_000_000
        for n in range(20):
            await feeder.feed({"n": n})
        await feeder.all_settled()
        mock.fail_topic("missing", Error.NONE)
        await wait_for(lambda: stage.metric("in_flight_bytes") == 0, "the topic's events to leave")


async def test_idle_topics_are_forgotten(mock: MockKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many topics, those that nobody writes to any more cost nothing, neither here nor in questions."""
    monkeypatch.setattr("logpipe_kafka.delivery.topics.MANY_TOPICS", 3)
    monkeypatch.setattr("logpipe_kafka.delivery.topics.IDLE_SECONDS", 0.0)
    async with drive(KafkaOutput, conf(mock)) as stage:
        feeder = Feeder(stage)
        for topic in ("a", "b", "c", "d"):
            await feeder.feed({"topic": topic})
            await feeder.all_settled()

        output = stage.plugin(KafkaOutput)
        session = await output._delivery._cluster.session()
        assert set(output._delivery._queues) == {"d"}
        assert session._client._topics == {"d"}


@pytest.mark.slow("it takes a hundred thousand topics to be too many")
@pytest.mark.parametrize(("output", "more"), [(KafkaOutput, ""), (KafkaBufferedOutput, "flush_interval 0.1")])
async def test_too_many_topics(mock: MockKafka, read: Read, output: type[Output[Any]], more: str) -> None:
    """A field that names a hundred thousand topics makes as many as the settings allow; the rest has one of its own."""
    async with drive(output, conf(mock, f"max_topics 5\n{more}")) as stage:
        feeder = Feeder(stage)
        for start in range(0, 100_000, 1000):
            await feeder.feed(*({"topic": f"attack-{n}", "n": n} for n in range(start, start + 1000)))
        await feeder.feed({"topic": "attack-3", "n": 3})
        await feeder.all_settled()
        assert not stage.errors
        (error,) = stage.log.texts("error")
        assert error.startswith("topic attack-5 is one more than max_topics 5; events for such topics go to t: check")
        assert set(stage.plugin(output)._delivery._queues) == {"t", *(f"attack-{n}" for n in range(5))}
    assert numbers(await read("attack-3")) == [3, 3]
    assert sorted(numbers(await read("t"))) == list(range(5, 100_000))


async def test_too_many_topics_without_a_default(mock: MockKafka) -> None:
    """Events for one more go to @ERROR, and say what to do."""
    async with drive(KafkaOutput, f"brokers {mock.bootstrap}\nmax_topics 2") as stage:
        feeder = Feeder(stage)
        await feeder.feed(*({"topic": f"attack-{n}", "n": n} for n in range(4)))
        await feeder.all_settled()
        assert [(record["n"], str(error)) for _, _, record, error in stage.errors] == [
            (n, f"topic attack-{n} is one more than max_topics 2: set default_topic, or raise it") for n in (2, 3)
        ]


async def test_topics_of_yesterday_make_room() -> None:
    """Names that hold the date are not too many in the end."""
    clock = ManualClock()
    host = FakeHost(clock=clock)
    options: Any = configure(KafkaOutput, "max_topics 2")
    guard = TopicGuard(options, host, TopicQueue)
    for day in range(20):
        assert [guard.queue(f"{name}-{day}").topic for name in "ab"] == [f"a-{day}", f"b-{day}"]
        with pytest.raises(TooManyTopics):
            guard.queue("c")
        await clock.advance(86401)
