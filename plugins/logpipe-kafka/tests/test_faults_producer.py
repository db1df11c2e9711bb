"""`@type kafka` while its producer stops working: another one takes over, with all that was not confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from logpipe.testing import drive, wait_for
from logpipe_kafka.cluster.producer import Cluster
from logpipe_kafka.cluster.session import METADATA_SECONDS, RETRY_SECONDS
from logpipe_kafka.out_kafka import KafkaOutput
from tests.services.feeding import Feeder, conf, numbers, stop_quickly
from tests.services.mock_kafka import Error, MockKafka, Request
from tests.services.topics import Message

Read = Callable[[str], Awaitable[list[Message]]]


@pytest.mark.slow("a broker that is slow keeps the old producer's last request as long")
async def test_stalled_producer_is_replaced(mock: MockKafka, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing is confirmed for long while brokers answer, a new producer is made and sends again."""
    mock.create_topic("t", partitions=1)
    mock.set_leader("t", 0, 1)
    monkeypatch.setattr("logpipe_kafka.cluster.producer.STALL_SECONDS", 0.3)
    monkeypatch.setattr("logpipe_kafka.cluster.producer.WATCH_SECONDS", 0.05)
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
    monkeypatch.setattr("logpipe_kafka.cluster.producer.WATCH_SECONDS", 0.05)
    async with drive(KafkaOutput, conf(mock)) as stage:
        feeder = Feeder(stage)
        await feeder.feed({"n": 1})
        await feeder.all_settled()
        cluster: Cluster = stage.plugin(KafkaOutput)._delivery._cluster
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


async def test_idempotent_producer_without_a_leader(mock: MockKafka, read: Read) -> None:
    """While a partition has no leader the producer stays the same, and asks for one with pauses."""
    mock.create_topic("t", partitions=1)
    mock.count_requests()
    async with drive(KafkaOutput, conf(mock, "idempotent true")) as stage:
        feeder = Feeder(stage)
        await feeder.feed({"n": 1})
        await feeder.all_settled()
        mock.fail_partition("t", 0, Error.NOT_LEADER_OR_FOLLOWER)
        mock.set_leader("t", 0, -1)
        await feeder.feed({"n": 2})
        handed_over = asyncio.get_running_loop().time()
        await asyncio.sleep(RETRY_SECONDS + 1)  # that so much time has passed is what is tried
        asked = mock.requests().count(Request.METADATA)
        assert feeder.settled == 1
        mock.set_leader("t", 0, 1)
        await feeder.all_settled()
        seconds = asyncio.get_running_loop().time() - handed_over

    assert mock.requests().count(Request.INIT_PRODUCER_ID) == 1
    assert asked < 10 + seconds / METADATA_SECONDS
    assert numbers(await read("t")) == [1, 2]


@pytest.mark.parametrize("away", [False, True])
async def test_starting_again_and_again(mock: MockKafka, away: bool) -> None:  # noqa: FBT001 - a case, not a switch
    """A reload stops an output and starts the next: after twenty no descriptor and no task is left of them."""
    if away:
        mock.stop_broker()

    async def once(n: int) -> None:
        async with drive(KafkaOutput, conf(mock)) as stage:
            feeder = Feeder(stage)
            await feeder.feed({"n": n})
            if away:
                await wait_for(lambda: stage.log.texts("warning"), "the brokers to be missed")
                stop_quickly(stage)
            else:
                await feeder.all_settled()

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async def all_tasks_end() -> None:
        await wait_for(lambda: asyncio.all_tasks() == {asyncio.current_task()}, "all tasks to end")

    for n in range(3):
        await once(n)
    await all_tasks_end()
    before = descriptors()
    for n in range(20):
        await once(n)
    await all_tasks_end()
    await wait_for(lambda: descriptors() <= before, "the last connections to be closed on the peer's side too")
