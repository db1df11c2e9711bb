"""What only a real broker shows: sizes, rules of topics, silence after `required_acks 0`, a broker that restarts."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from logpipe import Receipt, Record
from logpipe.testing import Pipeline, drive, wait_for
from logpipe_kafka.out_kafka import KafkaOutput
from tests.services.kafka import Kafka
from tests.services.stand_in import StandInKafka
from tests.services.topics import Message


async def feed(stage: Pipeline, *records: Record) -> None:
    """Feed a batch and wait until its receipt has settled."""
    settled: list[bool] = []
    receipt = Receipt(lambda: settled.append(True))
    await stage.feed("app", *records, receipt=receipt)
    receipt.release()
    await wait_for(lambda: settled, "the receipt to settle")


async def values(kafka: Kafka | StandInKafka, topic: str) -> list[Any]:
    """Return a topic's payloads, read as JSON."""
    messages: list[Message] = await asyncio.to_thread(kafka.read_topic, topic)
    return [json.loads(message.value or b"null") for message in messages]


@pytest.mark.services
async def test_message_larger_than_the_topic_takes(kafka: Kafka) -> None:
    """Only the large messages go to @ERROR; batches become small enough for the topic."""
    config = {"max.message.bytes": "20000"}
    await asyncio.to_thread(kafka.create_topic, "small-messages", config=config)
    records = [{"n": n, "text": "x" * (30_000 if n in {7, 500} else 200)} for n in range(1000)]
    async with drive(KafkaOutput, f"brokers {kafka.bootstrap}\ndefault_topic small-messages") as stage:
        await feed(stage, *records)

        assert [record["n"] for _, _, record, _ in stage.errors] == [7, 500]
    expected = [n for n in range(1000) if n not in {7, 500}]
    assert [value["n"] for value in await values(kafka, "small-messages")] == expected


@pytest.mark.services
@pytest.mark.parametrize("codec", ["none", "zstd"])
async def test_message_against_the_rules(kafka: Kafka, codec: str) -> None:
    """A compacted topic takes no message without a key: those go to @ERROR, the rest arrives."""
    topic = f"compacted-{codec}"
    await asyncio.to_thread(kafka.create_topic, topic, config={"cleanup.policy": "compact"})
    records: list[Record] = [{"n": n, "partition": 0, **({} if n == 5 else {"message_key": "k"})} for n in range(20)]
    async with drive(
        KafkaOutput, f"brokers {kafka.bootstrap}\ndefault_topic {topic}\ncompression_codec {codec}"
    ) as stage:
        await feed(stage, *records)

        ((_, _, record, error),) = stage.errors
    assert record["n"] == 5
    assert f"topic {topic} refuses it" in str(error)
    assert [value["n"] for value in await values(kafka, topic)] == [n for n in range(20) if n != 5]


@pytest.mark.services
async def test_idempotent(kafka: Kafka) -> None:
    """The brokers accept what an idempotent producer sends, also after a batch was refused."""
    await asyncio.to_thread(kafka.create_topic, "idempotent", config={"max.message.bytes": "5000"})
    async with drive(KafkaOutput, f"brokers {kafka.bootstrap}\ndefault_topic idempotent\nidempotent true") as stage:
        for start in range(0, 300, 100):
            await feed(stage, *({"n": n, "text": "x" * 100} for n in range(start, start + 100)))

        assert not stage.errors
    assert [value["n"] for value in await values(kafka, "idempotent")] == list(range(300))


@pytest.mark.parametrize("acks", ["0", "1", "-1"])
async def test_acks(any_kafka: Kafka | StandInKafka, acks: str) -> None:
    """Events arrive with every kind of acknowledgement, none included."""
    topic = f"acks{acks}"
    async with drive(
        KafkaOutput, f"brokers {any_kafka.bootstrap}\ndefault_topic {topic}\nrequired_acks {acks}"
    ) as stage:
        for n in range(20):
            await feed(stage, {"n": n})

        assert stage.metric("retry_count") == 0
    found: list[Any] = []
    while len(found) < 20:
        found = await values(any_kafka, topic)
    assert sorted(value["n"] for value in found) == list(range(20))  # of several partitions none is first


@pytest.mark.long("a real broker is started twice; a killed one's session must run out first")
@pytest.mark.services
@pytest.mark.parametrize(("how", "idempotent"), [("kill", False), ("stop", True)])
async def test_broker_restarts(own_kafka: Kafka, how: str, idempotent: bool) -> None:  # noqa: FBT001 - a case
    """A broker that goes and comes back in the middle costs no event; an idempotent producer repeats none either."""
    conf = f"zookeeper {own_kafka.zookeeper}\nzookeeper_path {own_kafka.zookeeper_root}/brokers/ids\ndefault_topic t"
    if idempotent:
        conf += "\nidempotent true"
    await asyncio.to_thread(own_kafka.create_topic, "t")
    async with drive(KafkaOutput, conf) as stage:
        settled: list[bool] = []

        async def send(start: int) -> None:
            for n in range(start, start + 500):
                receipt = Receipt(lambda: settled.append(True))
                await stage.feed("app", {"n": n}, receipt=receipt)
                receipt.release()

        await send(0)
        await asyncio.to_thread(own_kafka.stop_broker if how == "stop" else own_kafka.kill_broker)
        await send(500)
        await asyncio.to_thread(own_kafka.start_broker)
        await send(1000)
        await wait_for(lambda: len(settled) == 1500, "all receipts", seconds=60)

    found = [value["n"] for value in await values(own_kafka, "t")]
    assert set(found) == set(range(1500))
    if idempotent:
        assert found == list(range(1500))
