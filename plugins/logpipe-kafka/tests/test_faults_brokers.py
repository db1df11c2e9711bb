"""`@type kafka` while brokers go, come, are slow or fall silent: nothing is lost, nothing holds up the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from logpipe.testing import drive, wait_for
from logpipe_kafka.delivery.budget import LIMIT
from logpipe_kafka.out_kafka import KafkaOutput
from tests.services.feeding import Feeder, conf, numbers, stop_quickly
from tests.services.mock_kafka import Error, MockKafka, Request
from tests.services.topics import Message

Read = Callable[[str], Awaitable[list[Message]]]


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
    monkeypatch.setattr("logpipe_kafka.cluster.session.CLOSE_SECONDS", 1.0)
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


@pytest.mark.parametrize(("wanted", "seen"), [("true", True), ("false", False)])
async def test_client_log(mock: MockKafka, wanted: str, seen: bool) -> None:  # noqa: FBT001 - a case, not a switch
    """What aiokafka has to say is in our log if that is asked for, and nowhere else if not."""
    mock.stop_broker()
    async with drive(KafkaOutput, conf(mock, f"get_kafka_client_log {wanted}")) as stage:
        await wait_for(lambda: stage.log.texts("warning"), "the brokers to be missed")
        assert any(text.startswith("aiokafka: Unable connect") for text in stage.log.texts("error")) == seen
