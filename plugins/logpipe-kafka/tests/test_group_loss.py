"""`@type kafka_group` against a real Kafka: members that come, go and are killed, and a broker that restarts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from logpipe.testing import drive, wait_for
from logpipe_kafka.in_kafka import KafkaInput
from logpipe_kafka.in_kafka_group import KafkaGroup
from tests.services.kafka import Kafka, RunningKafka
from tests.services.producing import committed, numbers, produce

PARTITIONS = 4
MESSAGES = 8_000


def conf(kafka: RunningKafka, name: str, more: str = "") -> str:
    """The settings of a member of the group that reads the topic of that name."""
    return f"brokers {kafka.bootstrap}\nconsumer_group {name}\ntopics {name}\nsession_timeout 6\n{more}"


@pytest.mark.slow("a real group forms")
@pytest.mark.services
async def test_start_from_beginning(kafka: Kafka) -> None:
    """A new group begins at the oldest message, or behind the newest."""
    await asyncio.to_thread(kafka.create_topic, "start")
    await produce(kafka.bootstrap, "start", b'{"n":1}')
    settings = conf(kafka, "start", "start_from_beginning false\noffset_commit_interval 1")
    async with drive(KafkaGroup, settings) as stage:
        await wait_for(lambda: stage.metric("partitions") == 1, "the partition")
        while not stage.events():  # it has the partition before it has looked where that ends
            await produce(kafka.bootstrap, "start", b'{"n":2}')
        assert {*numbers(stage.records())} == {2}


@pytest.mark.slow("members notice one another at their next heartbeat")
@pytest.mark.services
async def test_a_second_member(kafka: Kafka) -> None:
    """It gets half of the partitions, and nothing that is settled comes again, there and back."""
    name = "shared"
    await asyncio.to_thread(kafka.create_topic, name, partitions=PARTITIONS)
    settings = conf(kafka, name, "offset_commit_interval 3600")
    async with drive(KafkaGroup, settings) as first:
        await wait_for(lambda: first.metric("partitions") == PARTITIONS, "all partitions")
        await send(kafka, name, 0)
        await wait_for(lambda: len(first.events()) == PARTITIONS, "the events")
        async with drive(KafkaGroup, settings) as second:
            await wait_for(lambda: (first.metric("partitions"), second.metric("partitions")) == (2, 2), "a half each")
            await send(kafka, name, PARTITIONS)
            await wait_for(lambda: len(first.events()) + len(second.events()) == 2 * PARTITIONS, "the events")
            assert numbers([*first.records(), *second.records()]) == [*range(2 * PARTITIONS)]
            assert len(second.events()) == 2
        await wait_for(lambda: first.metric("partitions") == PARTITIONS, "all partitions again")
        await send(kafka, name, 2 * PARTITIONS)
        await wait_for(lambda: len(first.events()) == 2 * PARTITIONS + 2, "the events")
    assert await committed(kafka.bootstrap, name, name, range(PARTITIONS)) == [3] * PARTITIONS


async def send(kafka: RunningKafka, topic: str, first: int) -> None:
    """Write a message to each partition."""
    for partition in range(PARTITIONS):
        await produce(kafka.bootstrap, topic, b'{"n":%d}' % (first + partition), partition=partition)


@pytest.mark.services
async def test_offsets_in_zookeeper(kafka: Kafka) -> None:
    """A run of the input `kafka` goes on where the last one has ended."""
    await asyncio.to_thread(kafka.create_topic, "kept")
    settings = f"brokers {kafka.bootstrap}\ntopics kept\noffset_zookeeper {kafka.zookeeper}\noffset_zk_root_node /kept"
    for n in range(2):
        await produce(kafka.bootstrap, "kept", b'{"n":%d}' % n)
        async with drive(KafkaInput, settings) as stage:
            await wait_for(stage.events, "the event")
            assert stage.records() == [{"n": n}]


@pytest.mark.long("a real broker is started twice")
@pytest.mark.services
async def test_broker_restarts(own_kafka: Kafka) -> None:
    """Nothing is lost over a broker that stops and comes back."""
    await asyncio.to_thread(own_kafka.create_topic, "t")
    async with drive(KafkaGroup, conf(own_kafka, "t")) as stage:
        await produce(own_kafka.bootstrap, "t", *(b'{"n":%d}' % n for n in range(500)))
        await wait_for(lambda: len(stage.events()) == 500, "the events before")
        await asyncio.to_thread(own_kafka.stop_broker)
        await asyncio.to_thread(own_kafka.start_broker)
        await produce(own_kafka.bootstrap, "t", *(b'{"n":%d}' % n for n in range(500, 1000)))
        await wait_for(lambda: len({*numbers(stage.records())}) == 1000, "all events")


MEMBER = """
<source>
  @type kafka_group
  brokers {brokers}
  consumer_group killed
  topics killed
  session_timeout 6
  max_bytes 20000
</source>
<match killed>
  @type file
  path {folder}/out/{name}
  append true
  <buffer []>
    @type file
    path {folder}/buffer/{name}
    flush_mode immediate
  </buffer>
</match>
"""


def start(stack: ExitStack, kafka: RunningKafka, folder: Path, name: str) -> subprocess.Popen[bytes]:
    """Start a member with files of its own."""
    path = folder / f"{name}.conf"
    path.write_text(MEMBER.format(brokers=kafka.bootstrap, folder=folder, name=name))
    log = stack.enter_context((folder / f"{name}.log").open("ab"))
    command = [sys.executable, "-m", "logpipe", "-c", str(path), "--no-supervisor"]
    process = subprocess.Popen(command, stdout=log, stderr=log)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def found(folder: Path, name: str = "*") -> Counter[int]:
    """How often each message is in the files of a member."""
    lines = (line for path in folder.glob(f"out/{name}.*") for line in path.read_bytes().splitlines())
    return Counter(json.loads(line.split(b"\t")[-1])["n"] for line in lines if line.endswith(b"}"))


@pytest.mark.long("three processes; the session of a killed process must run out")
@pytest.mark.services
async def test_a_member_is_killed(kafka: Kafka, tmp_path: Path) -> None:
    """Two processes share a topic; one is killed with -9 under load and another one takes its files over."""
    await asyncio.to_thread(kafka.create_topic, "killed", partitions=PARTITIONS)
    with ExitStack() as stack:
        first, second = (start(stack, kafka, tmp_path, name) for name in ("a", "b"))
        for member in ("a", "b"):
            log = tmp_path / f"{member}.log"
            await wait_for(lambda log=log: half_of(log), f"half of the partitions for {member}")  # type: ignore[misc]
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=5) as producer:
            await load(producer, 0, MESSAGES)
            await wait_for(lambda: len(found(tmp_path)) == MESSAGES, "the first half")
            shares = [len(found(tmp_path, name)) / MESSAGES for name in ("a", "b")]
            await load(producer, MESSAGES, MESSAGES)
            await wait_for(lambda: len(found(tmp_path)) > MESSAGES, "some of the second half")
            os.kill(second.pid, signal.SIGKILL)
            second.wait()
            was_there = len(found(tmp_path))
            await load(producer, 2 * MESSAGES, MESSAGES)
        start(stack, kafka, tmp_path, "b")  # what is in the buffer of the killed one is in its files
        await wait_for(lambda: found(tmp_path).keys() == {*range(3 * MESSAGES)}, "every message")
        assert first.poll() is None
    assert all(0.4 <= share <= 0.6 for share in shares)
    assert was_there < 3 * MESSAGES


async def load(producer: AIOKafkaProducer, start: int, count: int) -> None:
    """Write numbered messages to all partitions, as many to each."""
    for n in range(start, start + count):
        await producer.send("killed", b'{"n":%d}' % n, partition=n % PARTITIONS)
    await producer.flush()


def half_of(log: Path) -> bool:
    """Whether the last assignment of a member is half of the partitions."""
    lines = [line for line in log.read_text().splitlines() if "reading the partitions" in line]
    return bool(lines) and lines[-1].count("killed/") == PARTITIONS // 2
