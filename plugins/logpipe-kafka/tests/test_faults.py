"""`@type kafka` while brokers, partitions, topics and messages fail: nothing is lost, nothing holds up the rest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from logpipe import Receipt, Record, RetryLater
from logpipe.testing import Pipeline, drive, wait_for
from logpipe_kafka.budget import LIMIT
from logpipe_kafka.cluster import Cluster
from logpipe_kafka.out_kafka import KafkaOutput
from logpipe_kafka.topic_queue import TopicQueue
from tests.services.mock_kafka import Error, MockKafka, Request
from tests.services.topics import Message

Read = Callable[[str], Awaitable[list[Message]]]


def conf(mock: MockKafka, more: str = "") -> str:
    """Return the body of a section; everything goes to the topic t unless a record says otherwise."""
    return f"brokers {mock.bootstrap}\ndefault_topic t\n{more}"


def numbers(messages: list[Message]) -> list[int]:
    """Return the field n of each message."""
    return [json.loads(message.value or b"")["n"] for message in messages]


class Feeder:
    """Feeds batches and knows which of them have settled."""

    def __init__(self, stage: Pipeline) -> None:
        self.stage = stage
        self.settled = 0
        self.fed = 0

    async def feed(self, *records: Record) -> None:
        """Feed one batch."""
        receipt = Receipt(self._settle)
        await self.stage.feed("app", *records, receipt=receipt)
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


async def test_brokers_away_at_the_start(mock: MockKafka, read: Read) -> None:
    """Events are taken and delivered when the brokers come."""
    mock.stop_broker()
    async with drive(KafkaOutput, conf(mock)) as stage:
        feeder = Feeder(stage)
        for n in range(10):
            await feeder.feed({"n": n})
        await wait_for(lambda: stage.log.texts("warning"), "the brokers to be missed")
        (warning,) = stage.log.texts("warning")
        assert warning.startswith("no broker answers, trying again until one does: Unable connect to")
        mock.start_broker()
        await feeder.all_settled()

        assert any(text.startswith("brokers answer again") for text in stage.log.texts("info"))
    assert sorted(numbers(await read("t"))) == list(range(10))


async def test_back_pressure_while_brokers_are_away(mock: MockKafka, read: Read) -> None:
    """When enough waits, the input waits; when the brokers are back, everything arrives."""
    mock.stop_broker()
    async with drive(KafkaOutput, conf(mock)) as stage:
        feeder = Feeder(stage)
        text = "x" * 10_000

        async def feed_all() -> None:
            for start in range(0, 1000, 50):
                await feeder.feed(*({"n": n, "text": text} for n in range(start, start + 50)))

        async with asyncio.TaskGroup() as group:
            feeding = group.create_task(feed_all())
            await wait_for(lambda: stage.metric("in_flight_bytes") >= LIMIT, "the budget to be used up")
            assert not feeding.done()
            assert stage.metric("in_flight_bytes") < LIMIT + 1_000_000
            mock.start_broker()
        await feeder.all_settled()

    assert sorted(numbers(await read("t"))) == list(range(1000))


async def test_all_brokers_bounce(mock: MockKafka, read: Read) -> None:
    """Brokers go and come while events flow."""
    async with drive(KafkaOutput, conf(mock)) as stage:
        feeder = Feeder(stage)
        for n in range(300):
            await feeder.feed({"n": n})
            if n == 100:
                await feeder.all_settled()
                mock.stop_broker()
            if n == 200:
                await wait_for(lambda: stage.log.texts("warning"), "the brokers to be missed")
                mock.start_broker()
        await feeder.all_settled()

    assert set(numbers(await read("t"))) == set(range(300))


async def test_one_of_three_brokers_is_down(mock: MockKafka, read: Read) -> None:
    """The partitions of the other brokers go on, and take what has no partition of its own."""
    mock.create_topic("t", partitions=3)
    for partition in range(3):
        mock.set_leader("t", partition, partition + 1)
    async with drive(KafkaOutput, conf(mock)) as stage:
        feeder = Feeder(stage)
        await feeder.feed({"n": -1})
        mock.stop_broker(2)
        await feeder.feed({"n": -2, "partition": 1})
        kept = Feeder(stage)
        for n in range(200):
            await kept.feed({"n": n})
        await kept.all_settled()
        assert feeder.settled < 2
        mock.start_broker(2)
        await feeder.all_settled()

    assert {number for number in numbers(await read("t")) if number >= 0} == set(range(200))


async def test_slow_broker(mock: MockKafka) -> None:
    """A broker that takes its time holds up its own partitions only."""
    mock.create_topic("slow", partitions=1)
    mock.create_topic("quick", partitions=1)
    mock.set_leader("slow", 0, 1)
    mock.set_leader("quick", 0, 2)
    async with drive(KafkaOutput, conf(mock)) as stage:
        feeder = Feeder(stage)
        await feeder.feed({"topic": "slow"}, {"topic": "quick"})
        await feeder.all_settled()
        mock.slow_broker(3000, 1)
        await feeder.feed({"topic": "slow"})
        quick = Feeder(stage)
        for _ in range(20):
            await quick.feed({"topic": "quick"})
        await quick.all_settled()
        assert feeder.settled == 1
        mock.slow_broker(0, 1)
        await feeder.all_settled()


async def test_leader_moves(mock: MockKafka, read: Read) -> None:
    """Events follow a partition to its new broker, in order."""
    mock.create_topic("t", partitions=1)
    async with drive(KafkaOutput, conf(mock)) as stage:
        feeder = Feeder(stage)
        for n in range(300):
            if n % 50 == 0:
                mock.set_leader("t", 0, n // 50 % 3 + 1)
            await feeder.feed({"n": n})
        await feeder.all_settled()

    assert numbers(await read("t")) == list(range(300))


@pytest.mark.parametrize(
    "error",
    [
        Error.NOT_ENOUGH_REPLICAS,
        Error.NOT_LEADER_OR_FOLLOWER,
        Error.REQUEST_TIMED_OUT,
        Error.UNKNOWN_TOPIC_OR_PARTITION,
        Error.LEADER_NOT_AVAILABLE,
        Error.CORRUPT_MESSAGE,
        Error.OUT_OF_ORDER_SEQUENCE_NUMBER,
        Error.TRANSPORT,
    ],
)
async def test_passing_trouble(mock: MockKafka, read: Read, error: Error) -> None:
    """What may pass is tried again, in order, and nobody hears of it."""
    mock.create_topic("t", partitions=1)
    mock.fail_requests(Request.PRODUCE, error, error)
    async with drive(KafkaOutput, conf(mock)) as stage:
        feeder = Feeder(stage)
        for n in range(10):
            await feeder.feed({"n": n})
        await feeder.all_settled()

        assert not stage.errors
    assert numbers(await read("t")) == list(range(10))


async def test_message_too_large(mock: MockKafka, read: Read) -> None:
    """Of a batch that is refused for its size only the large message goes to @ERROR."""
    mock.create_topic("t", partitions=1)
    large, fits = Error.MSG_SIZE_TOO_LARGE, Error.NONE
    # The mock does not look at sizes: it refuses the batch of 4, its second half, and the last but one by itself.
    mock.fail_partition("t", 0, large, fits, large, large, fits)
    async with drive(KafkaOutput, conf(mock)) as stage:
        feeder = Feeder(stage)
        await feeder.feed(*({"n": n} for n in range(4)))
        await feeder.all_settled()

        ((tag, _, record, error),) = stage.errors
    assert (tag, record) == ("app", {"n": 2})
    assert str(error).endswith("is too large for topic t: MESSAGE_SIZE_TOO_LARGE")
    assert numbers(await read("t")) == [0, 1, 3]


@pytest.mark.parametrize(("error", "attempts"), [(Error.INVALID_RECORD, 1), (Error.CORRUPT_MESSAGE, 3)])
async def test_bad_message(mock: MockKafka, read: Read, error: Error, attempts: int) -> None:
    """Of a batch that is refused for its content only the bad message goes to @ERROR; damage may be the network's."""
    mock.create_topic("t", partitions=1)
    # The batch of 4, its first half, and the first message by itself.
    mock.fail_partition("t", 0, *[error] * (3 * attempts))
    async with drive(KafkaOutput, conf(mock, "compression_codec lz4")) as stage:
        feeder = Feeder(stage)
        await feeder.feed(*({"n": n, "message_key": "k", "partition": 0} for n in range(4)))
        await feeder.all_settled()

        ((_, _, record, error_seen),) = stage.errors
    assert record["n"] == 0
    assert "topic t refuses it" in str(error_seen)
    messages = await read("t")
    assert numbers(messages) == [1, 2, 3]
    assert {message.key for message in messages} == {b"k"}


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
        assert stage.metric("in_flight_bytes") <= LIMIT
        for n in range(20):
            await feeder.feed({"n": n})
        await feeder.all_settled()
        mock.fail_topic("missing", Error.NONE)
        await wait_for(lambda: stage.metric("in_flight_bytes") == 0, "the topic's events to leave")


async def test_stopping_while_brokers_are_away(mock: MockKafka) -> None:
    """Stopping does not wait for them, leaves no task, and settles nothing."""
    async with drive(KafkaOutput, conf(mock)) as stage:
        feeder = Feeder(stage)
        await feeder.feed({"n": 1})
        await feeder.all_settled()
        stop_quickly(stage)
        mock.stop_broker()
        await feeder.feed({"n": 2})
    assert feeder.settled == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_stalled_producer_is_replaced(mock: MockKafka, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing is confirmed for long while brokers answer, a new producer is made and sends again."""
    mock.create_topic("t", partitions=1)
    mock.set_leader("t", 0, 1)
    monkeypatch.setattr("logpipe_kafka.cluster.STALL_SECONDS", 0.3)
    monkeypatch.setattr("logpipe_kafka.cluster.WATCH_SECONDS", 0.05)
    async with drive(KafkaOutput, conf(mock)) as stage:
        feeder = Feeder(stage)
        await feeder.feed({"n": 1})
        await feeder.all_settled()
        mock.slow_broker(25_000, 1)
        await feeder.feed({"n": 2})
        await wait_for(lambda: any("making a new Kafka producer" in text for text in stage.log.texts()), "the watchdog")
        mock.slow_broker(0, 1)
        await feeder.all_settled()

    assert set(numbers(await read("t"))) == {1, 2}


async def test_dead_sender_is_replaced(mock: MockKafka, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """When aiokafka's sender has ended, a new producer is made."""
    monkeypatch.setattr("logpipe_kafka.cluster.WATCH_SECONDS", 0.05)
    async with drive(KafkaOutput, conf(mock)) as stage:
        feeder = Feeder(stage)
        await feeder.feed({"n": 1})
        await feeder.all_settled()
        cluster: Cluster = stage.plugin(KafkaOutput)._connection._cluster
        session: Any = await cluster.session()
        session._producer._sender.sender_task.cancel()
        await feeder.feed({"n": 2})
        await feeder.all_settled()

        assert await cluster.session() is not session
    assert sorted(numbers(await read("t"))) == [1, 2]


@pytest.mark.parametrize("error", [Error.MSG_SIZE_TOO_LARGE, Error.OUT_OF_ORDER_SEQUENCE_NUMBER, Error.INVALID_RECORD])
async def test_idempotent_producer_after_a_failure(mock: MockKafka, read: Read, error: Error) -> None:
    """A failed batch leaves a gap in the sequence, so a new producer takes over; nothing is lost."""
    mock.create_topic("t", partitions=1)
    mock.fail_requests(Request.PRODUCE, error)
    mock.count_requests()
    async with drive(KafkaOutput, conf(mock, "idempotent true\ncompression_codec gzip")) as stage:
        feeder = Feeder(stage)
        await feeder.feed({"n": 1}, {"n": 2})
        await feeder.all_settled()

        assert not stage.errors
    assert numbers(await read("t")) == [1, 2]
    assert mock.requests().count(Request.INIT_PRODUCER_ID) == 2


async def test_broker_that_never_answers() -> None:
    """A broker that takes connections and says nothing keeps nobody from stopping, and leaves no task."""
    silent: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: silent.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with drive(KafkaOutput, f"brokers 127.0.0.1:{port}\ndefault_topic t") as stage:
        feeder = Feeder(stage)
        await feeder.feed({"n": 1})
        await wait_for(lambda: silent, "the connection")
        stop_quickly(stage)
    assert not feeder.settled
    for writer in silent:
        writer.close()
    server.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_broker_falls_silent(mock: MockKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """A producer whose brokers have fallen silent in the middle of a request is let go of within its deadline."""
    monkeypatch.setattr("logpipe_kafka.session.CLOSE_SECONDS", 1.0)
    async with drive(KafkaOutput, conf(mock)) as stage:
        feeder = Feeder(stage)
        await feeder.feed({"n": 1})
        await feeder.all_settled()
        mock.slow_broker(20_000)
        await feeder.feed(*({"n": n, "text": "x" * 1000} for n in range(2000)))
        await wait_for(lambda: stage.metric("in_flight_bytes") > 0, "something to be on its way")
        stop_quickly(stage)
    assert feeder.settled == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_idle_topics_are_forgotten(mock: MockKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many topics, those that nobody writes to any more cost nothing, neither here nor in questions."""
    monkeypatch.setattr("logpipe_kafka.delivery.MANY_TOPICS", 3)
    monkeypatch.setattr("logpipe_kafka.delivery.IDLE_SECONDS", 0.0)
    async with drive(KafkaOutput, conf(mock)) as stage:
        feeder = Feeder(stage)
        for topic in ("a", "b", "c", "d"):
            await feeder.feed({"topic": topic})
            await feeder.all_settled()

        output = stage.plugin(KafkaOutput)
        session = await output._connection._cluster.session()
        assert set(output._delivery._queues) == {"d"}
        assert session._client._topics == {"d"}


@pytest.mark.parametrize(("wanted", "seen"), [("true", True), ("false", False)])
async def test_client_log(mock: MockKafka, wanted: str, seen: bool) -> None:  # noqa: FBT001 - a case, not a switch
    """What aiokafka has to say is in our log if that is asked for, and nowhere else if not."""
    mock.stop_broker()
    async with drive(KafkaOutput, conf(mock, f"get_kafka_client_log {wanted}")) as stage:
        await wait_for(lambda: stage.log.texts("warning"), "the brokers to be missed")
        assert any(text.startswith("aiokafka: Unable connect") for text in stage.log.texts("error")) == seen
