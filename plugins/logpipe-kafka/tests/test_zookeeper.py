"""Brokers that are found through ZooKeeper."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from kazoo.client import KazooClient

from examples.demo.zookeeper import broker_nodes, zookeeper
from logpipe.testing import drive, wait_for
from logpipe_kafka.cluster.brokers import address
from logpipe_kafka.out_kafka import KafkaOutput
from tests.services.kafka import Kafka
from tests.services.mock_kafka import MockKafka
from tests.services.ports import adjacent_ports
from tests.services.topics import Message

Read = Callable[[str], Awaitable[list[Message]]]


def registration(**fields: Any) -> dict[str, Any]:
    """Return what a broker registers, with some fields replaced."""
    return {"version": 5, "host": "kafka-1", "port": 9092, "endpoints": ["PLAINTEXT://kafka-1:9092"], **fields}


ONLY_TLS = registration(
    host=None,
    port=-1,
    endpoints=["OUTSIDE://kafka-1.example.com:9093", "INSIDE://10.0.0.1:9094"],
    listener_security_protocol_map={"OUTSIDE": "SSL", "INSIDE": "SASL_SSL"},
)


@pytest.mark.parametrize(
    ("node", "protocol", "expected"),
    [
        ({"host": "old", "port": 9092}, "PLAINTEXT", "old:9092"),
        (registration(), "PLAINTEXT", "kafka-1:9092"),
        (ONLY_TLS, "SSL", "kafka-1.example.com:9093"),
        (ONLY_TLS, "SASL_SSL", "10.0.0.1:9094"),
        (registration(endpoints=["SSL://a:1", "PLAINTEXT://b:2"]), "PLAINTEXT", "b:2"),
        (registration(endpoints=["PLAINTEXT://[::1]:9092"]), "PLAINTEXT", "[::1]:9092"),
    ],
)
def test_address(node: Any, protocol: str, expected: str) -> None:
    """The endpoint that speaks the protocol is taken, or the host and port of old."""
    assert address(node, protocol) == expected


@pytest.mark.parametrize(
    ("node", "protocol", "message"),
    [
        (ONLY_TLS, "PLAINTEXT", "no PLAINTEXT endpoint found on Zookeeper, only OUTSIDE://"),
        (registration(), "SSL", "no SSL endpoint found on Zookeeper, only PLAINTEXT://kafka-1:9092"),
        ({"host": None, "port": -1}, "PLAINTEXT", "only none at all"),
        ([], "PLAINTEXT", "no object"),
    ],
)
def test_no_address(node: Any, protocol: str, message: str) -> None:
    """A broker that can't be used says what it has."""
    with pytest.raises(ValueError, match=message):
        address(node, protocol)


def nodes_of(mock: MockKafka) -> dict[str, bytes]:
    """Return ZooKeeper's nodes with the mock cluster's first broker."""
    return broker_nodes(mock.bootstrap.split(",", maxsplit=1)[0])


def conf(hosts: str) -> str:
    """Return the body of a section, with an address that would not do."""
    return f"zookeeper {hosts}\nbrokers 127.0.0.1:1\ndefault_topic t"


async def test_brokers_from_zookeeper(mock: MockKafka, read: Read) -> None:
    """Brokers are read at the start, and said."""
    async with zookeeper(nodes_of(mock)) as hosts, drive(KafkaOutput, conf(hosts)) as stage:
        await stage.feed("app", {"n": 1})
        await wait_for(lambda: stage.metric("emit_records") == 1, "the event")

        first = mock.bootstrap.split(",")[0]
        assert f"brokers has been refreshed via Zookeeper: ['{first}']" in stage.log.texts("info")
        assert stage.log.texts("warning") == []
    assert [message.value for message in await read("t")] == [b'{"n":1}']


async def test_no_broker_is_registered_yet(mock: MockKafka) -> None:
    """Events wait until a broker is registered; one whose registration is broken is left out."""
    nodes = nodes_of(mock)
    good = nodes.pop("/brokers/ids/0")
    async with zookeeper(nodes) as hosts, drive(KafkaOutput, conf(hosts)) as stage:
        await stage.feed("app", {"n": 1})
        await wait_for(lambda: "No brokers found on Zookeeper" in stage.log.texts("warning"), "the warning")
        nodes["/brokers/ids/1"] = b"{"
        nodes["/brokers/ids/0"] = good
        await wait_for(lambda: stage.metric("emit_records") == 1, "the event")

        assert any(text.startswith("broker 1 is left out") for text in stage.log.texts("warning"))


async def test_path_does_not_exist_yet(mock: MockKafka) -> None:
    """A zookeeper_path that is not there is looked for again."""
    nodes: dict[str, bytes] = {"/": b""}
    more = "zookeeper_path /chroot/brokers/ids"
    async with zookeeper(nodes) as hosts, drive(KafkaOutput, f"{conf(hosts)}\n{more}") as stage:
        await stage.feed("app", {"n": 1})
        await wait_for(lambda: any("can't read the brokers" in text for text in stage.log.texts()), "the warning")
        nodes.update({f"/chroot{path}": data for path, data in nodes_of(mock).items()})
        await wait_for(lambda: stage.metric("emit_records") == 1, "the event")


async def test_zookeeper_is_away_at_the_start(mock: MockKafka) -> None:
    """Events wait until ZooKeeper can be asked."""
    port = adjacent_ports(1)
    async with drive(KafkaOutput, conf(f"127.0.0.1:{port}")) as stage:
        await stage.feed("app", {"n": 1})
        await wait_for(lambda: stage.metric("in_flight_bytes") > 0, "the event to be taken")
        async with zookeeper(nodes_of(mock)) as hosts, forward(port, to=int(hosts.split(":")[1])):
            await wait_for(lambda: stage.metric("emit_records") == 1, "the event")


async def test_brokers_have_moved(mock: MockKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """When none of the brokers is there any more, those that are registered now are asked."""
    monkeypatch.setattr("logpipe_kafka.cluster.producer.WATCH_SECONDS", 0.1)
    with MockKafka() as gone:
        nodes = broker_nodes(gone.bootstrap)
        async with zookeeper(nodes) as hosts, drive(KafkaOutput, conf(hosts)) as stage:
            await stage.feed("app", {"n": 1})
            await wait_for(lambda: stage.metric("emit_records") == 1, "the first event")
            gone.stop_broker()
            nodes.update(nodes_of(mock))
            await stage.feed("app", {"n": 2})
            await wait_for(lambda: stage.metric("emit_records") == 2, "the second event")


async def test_stopping_without_zookeeper() -> None:
    """Stopping does not wait for a ZooKeeper that never came."""
    async with drive(KafkaOutput, conf(f"127.0.0.1:{adjacent_ports(1)}")):
        pass


@pytest.mark.services
async def test_change_is_noticed(kafka: Kafka, mock: MockKafka, nodes: KazooClient) -> None:
    """A real ZooKeeper tells of a broker that comes, without anything failing first."""
    root = f"/{mock.bootstrap.replace(':', '-').split(',')[0]}"
    await asyncio.to_thread(nodes.ensure_path, f"{root}/brokers/ids")
    data = nodes_of(mock)["/brokers/ids/0"]
    async with drive(KafkaOutput, conf(f"{kafka.zookeeper}{root}")) as stage:
        await stage.feed("app", {"n": 1})
        await wait_for(lambda: "No brokers found on Zookeeper" in stage.log.texts("warning"), "the warning")
        await asyncio.to_thread(nodes.create, f"{root}/brokers/ids/0", data)
        await wait_for(lambda: stage.metric("emit_records") == 1, "the event")
        other = json.dumps({"host": "other", "port": 1}).encode()
        await asyncio.to_thread(nodes.create, f"{root}/brokers/ids/1", other)
        await wait_for(lambda: any("'other:1'" in text for text in stage.log.texts("info")), "the new broker")


@pytest.fixture
def nodes(kafka: Kafka) -> Iterator[KazooClient]:
    """A client of the real ZooKeeper."""
    client = KazooClient(kafka.zookeeper)
    client.start()
    yield client
    client.stop()
    client.close()


@asynccontextmanager
async def forward(port: int, *, to: int) -> AsyncIterator[None]:
    """Forward connections from one loopback port to another while the context is open."""
    tasks: set[asyncio.Task[Any]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        there, back = await asyncio.open_connection("127.0.0.1", to)
        with suppress(OSError, asyncio.CancelledError):
            async with asyncio.TaskGroup() as group:
                group.create_task(pump(reader, back))
                group.create_task(pump(there, writer))
        for end in (writer, back):
            end.close()

    server = await asyncio.start_server(accept, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end."""
    while block := await reader.read(65536):
        writer.write(block)
