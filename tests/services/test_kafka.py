"""The real Kafka that other tests stand on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from kazoo.client import KazooClient

from tests.services import jars
from tests.services.kafka import Kafka
from tests.services.stand_in import StandInKafka
from tests.services.waiting import wait_until

BATCH = 100
KILLED = pytest.mark.long("the session of a broker that was killed must run out first")


def produce(bootstrap: str, topic: str, *, acks: int = 1) -> None:
    """Send a batch of messages, each with its number as the value and `k` as the key."""

    async def send() -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks=acks) as producer:
            for number in range(BATCH):
                await producer.send(topic, b"%d" % number, key=b"k", timestamp_ms=1466000000000 + number)

    asyncio.run(send())


@pytest.mark.services
def test_reads_what_was_written(kafka: Kafka) -> None:
    """Partition, offset, key, value and time of every message come back, in order within a partition."""
    kafka.create_topic("read", partitions=3)
    produce(kafka.bootstrap, "read")

    messages = kafka.read_topic("read")
    assert [(m.offset, m.key, m.value, m.timestamp) for m in messages] == [
        (number, b"k", b"%d" % number, 1466000000000 + number) for number in range(BATCH)
    ]
    assert len({m.partition for m in messages}) == 1
    assert kafka.topic_size("read") == BATCH


@pytest.mark.services
def test_asking_makes_no_topic(kafka: Kafka) -> None:
    """A topic that is only asked about stays missing, although writing to one makes it."""
    assert kafka.topic_size("nowhere") == 0
    assert kafka.read_topic("nowhere") == []
    assert "nowhere" not in kafka.topic_names()


@pytest.mark.services
def test_unanswered_messages_arrive(kafka: Kafka) -> None:
    """A producer that asks for no acknowledgement gets its messages in."""
    kafka.create_topic("unanswered")
    produce(kafka.bootstrap, "unanswered", acks=0)
    wait_until(lambda: kafka.topic_size("unanswered") == BATCH, seconds=30, what="the last message")
    assert {m.value for m in kafka.read_topic("unanswered")} == {b"%d" % number for number in range(BATCH)}


@pytest.mark.services
def test_registers_with_zookeeper(kafka: Kafka) -> None:
    """The broker stands where pipelines look for it."""
    client = KazooClient(hosts=kafka.zookeeper)
    client.start()
    try:
        assert client.get_children(f"{kafka.zookeeper_root}/brokers/ids") == ["0"]
    finally:
        client.stop()
        client.close()


@pytest.mark.services
@pytest.mark.slow("a real broker is started twice")
@pytest.mark.parametrize(
    "end", [Kafka.stop_broker, pytest.param(Kafka.kill_broker, marks=KILLED)], ids=["stopped", "killed"]
)
def test_comes_back_with_what_it_had(own_kafka: Kafka, end: object) -> None:
    """A broker that was stopped or killed comes back at its address, with its topics."""
    own_kafka.create_topic("kept", partitions=2)
    produce(own_kafka.bootstrap, "kept")
    assert callable(end)
    end(own_kafka)
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(asyncio.open_connection(*own_kafka.bootstrap.split(":")))

    own_kafka.start_broker()
    assert own_kafka.topic_size("kept") == BATCH
    assert len(own_kafka.read_topic("kept")) == BATCH
    produce(own_kafka.bootstrap, "kept")
    assert own_kafka.topic_size("kept") == 2 * BATCH


def test_stand_in_has_the_same_face() -> None:
    """Where there is no real Kafka, the stand-in takes the same messages and hands them out."""
    with StandInKafka.start() as kafka:
        kafka.create_topic("read", partitions=3)
        produce(kafka.bootstrap, "read")
        produce(kafka.bootstrap, "read", acks=0)
        wait_until(lambda: kafka.topic_size("read") == 2 * BATCH, seconds=30, what="the last message")
        assert {m.value for m in kafka.read_topic("read")} == {b"%d" % number for number in range(BATCH)}


def install_java(folder: Path, version: str) -> None:
    """Put a java into the folder that says this version of itself."""
    java = folder / "java"
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    java.chmod(0o755)


@pytest.mark.parametrize(("version", "found"), [(None, "no java"), ("11.0.2", "java 11"), ("1.8.0_392", "java 1")])
def test_says_that_java_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str | None, found: str
) -> None:
    """Without a Java that is new enough the reason names what was found, what is needed and how to get it."""
    if version:
        install_java(tmp_path, version)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(jars.UnavailableError, match=rf"needs java 17 or newer, found {found}: apt-get install \S+$"):
        jars.jars()


def test_says_that_maven_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without Maven and without jars from an earlier run the reason names it and how to get it."""
    install_java(tmp_path, "17.0.15")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(jars.UnavailableError, match=r"no mvn to fetch it with: apt-get install maven$"):
        jars.jars()


def test_keeps_jars_for_the_next_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What was fetched once is taken from the cache, without Maven."""
    install_java(tmp_path, "21")
    cache = tmp_path / f"logpipe/kafka-{jars.KAFKA}"
    cache.mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert jars.jars() == cache
