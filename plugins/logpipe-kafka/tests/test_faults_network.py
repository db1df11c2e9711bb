"""`@type kafka` while the network loses answers, names and connections: deadlines on all, and nothing is lost."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from aiokafka.conn import AIOKafkaConnection

from logpipe.testing import drive, wait_for
from logpipe_kafka.out_kafka import KafkaOutput
from tests.services import topics
from tests.services.feeding import Feeder, numbers, stop_quickly
from tests.services.kafka import Kafka
from tests.services.mock_kafka import MockKafka
from tests.services.tcp_proxy import TcpProxy, tcp_proxy
from tests.services.topics import Message

Read = Callable[[str], Awaitable[list[Message]]]
Names = dict[str, str]


@pytest.fixture
def one() -> Iterator[MockKafka]:
    """A mock cluster of one broker, with a topic t of one partition."""
    with MockKafka(1) as cluster:
        cluster.create_topic("t", partitions=1)
        yield cluster


@pytest.fixture
async def proxy(one: MockKafka) -> AsyncIterator[TcpProxy]:
    """The only way to that broker."""
    async with tcp_proxy(one.bootstrap) as standing:
        own = one.bootstrap
        one.advertise(1, standing.port)
        yield standing
        one.advertise(1, int(own.rpartition(":")[2]))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """What a resolver knows of *.test: nothing at first."""
    known: Names = {}
    resolve = socket.getaddrinfo

    def look_up(host: Any, *rest: Any, **more: Any) -> Any:
        if not str(host).endswith(".test"):
            return resolve(host, *rest, **more)
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(known[host], *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


async def test_lost_answers(proxy: TcpProxy) -> None:
    """What was written and not confirmed is sent again: one copy more for each answer that was lost."""
    async with drive(KafkaOutput, f"brokers 127.0.0.1:{proxy.port}\ndefault_topic t") as stage:
        feeder = Feeder(stage)
        for n in range(30):
            if n in {5, 15}:
                proxy.lose_answers(1)
            await feeder.feed({"n": n})
            await feeder.all_settled()
        found = Counter(numbers(await asyncio.to_thread(topics.read_topic, f"127.0.0.1:{proxy.port}", "t")))

    assert proxy.lost_answers == 2
    assert set(found) == set(range(30))
    assert found.total() <= 30 + proxy.lost_answers


@pytest.mark.services
async def test_faults_of_the_network_under_an_idempotent_producer(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers are lost, connections fall silent: the broker sorts out what it gets twice, and keeps the order."""
    await asyncio.to_thread(kafka.create_topic, "sorted-out")
    connect = AIOKafkaConnection.connect
    async with tcp_proxy(kafka.bootstrap) as proxy:

        async def connect_through(connection: Any) -> Any:
            connection._port = proxy.port
            return await connect(connection)

        with monkeypatch.context() as patched:
            patched.setattr(AIOKafkaConnection, "connect", connect_through)
            patched.setattr("logpipe_kafka.cluster.session.REQUEST_SECONDS", 1.0)
            await feed_through(proxy, f"brokers {kafka.bootstrap}\ndefault_topic sorted-out\nidempotent true")
        assert proxy.lost_answers == 10
        assert proxy.silenced >= 2
    assert numbers(await asyncio.to_thread(kafka.read_topic, "sorted-out")) == list(range(200))


async def feed_through(proxy: TcpProxy, conf: str) -> None:
    """Feed two hundred events; lose every twentieth answer, and twice all that the connections carry."""
    async with drive(KafkaOutput, conf) as stage:
        feeder = Feeder(stage)
        for n in range(200):
            if n % 20 == 10:
                proxy.lose_answers(1)
            if n in {63, 123}:
                proxy.fall_silent()
            await feeder.feed({"n": n})
            if n % 3 == 0:
                await feeder.all_settled()
        await feeder.all_settled()


async def test_name_is_not_known_yet(one: MockKafka, names: Names) -> None:
    """Events wait for a resolver that does not answer, and the log says what is not known."""
    port = one.bootstrap.rpartition(":")[2]
    async with drive(KafkaOutput, f"brokers kafka.test:{port}\ndefault_topic t") as stage:
        feeder = Feeder(stage)
        await feeder.feed({"n": 1})
        await wait_for(lambda: stage.log.texts("warning"), "the broker to be missed")
        assert "kafka.test" in stage.log.texts("warning")[0]
        assert not feeder.settled
        names["kafka.test"] = "127.0.0.1"
        await feeder.all_settled()


async def test_name_leads_elsewhere(one: MockKafka, names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no broker answers any more the name is looked up again: the cluster may have moved."""
    monkeypatch.setattr("logpipe_kafka.cluster.producer.GIVE_UP_SECONDS", 0.2)
    names["kafka.test"] = "127.0.0.1"
    port = int(one.bootstrap.rpartition(":")[2])
    with MockKafka(1) as moved:
        async with (
            tcp_proxy(moved.bootstrap, listen="127.0.0.2", port=port),
            drive(KafkaOutput, f"brokers kafka.test:{port}\ndefault_topic t") as stage,
        ):
            feeder = Feeder(stage)
            await feeder.feed({"n": 1})
            await feeder.all_settled()
            one.stop_broker()
            names["kafka.test"] = "127.0.0.2"
            await feeder.feed({"n": 2})
            await feeder.all_settled()
        assert numbers(await asyncio.to_thread(topics.read_topic, moved.bootstrap, "t")) == [2]


async def refuse_passwords(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as a broker does that knows PLAIN, and not this user."""
    api_versions = b"\0\0" + (2).to_bytes(4) + bytes.fromhex("0011 0000 0001 0024 0000 0000")
    handshake = b"\0\0" + (1).to_bytes(4) + b"\0\5PLAIN"
    reason = b"Authentication failed: Invalid username or password"
    refusal = (58).to_bytes(2) + len(reason).to_bytes(2) + reason + (0).to_bytes(4)
    answers = {18: api_versions, 17: handshake, 36: refusal}
    try:
        while True:
            request = await reader.readexactly(int.from_bytes(await reader.readexactly(4)))
            answer = request[4:8] + answers[int.from_bytes(request[:2])]
            writer.write(len(answer).to_bytes(4) + answer)
    except EOFError:
        writer.close()


async def test_wrong_password() -> None:
    """The log says what the broker says; events wait, and stopping does not."""
    server = await asyncio.start_server(refuse_passwords, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    conf = f"brokers 127.0.0.1:{port}\ndefault_topic t\nusername u\npassword secret\nsasl_over_ssl false"
    async with drive(KafkaOutput, conf) as stage:
        feeder = Feeder(stage)
        await feeder.feed({"n": 1})
        await wait_for(lambda: stage.log.texts("warning"), "the refusal")
        assert any("Invalid username or password" in text for text in stage.log.texts("warning"))
        assert not any("secret" in text for text in stage.log.texts())
        stop_quickly(stage)
    assert not feeder.settled
    server.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
