"""The demo's stand-in for ZooKeeper, asked by the client that logpipe uses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

from examples.demo.zookeeper import broker_nodes, zookeeper


async def ask(question: Callable[[KazooClient], Any]) -> Any:
    """Return what the question gets from a client of a cluster with one broker at 127.0.0.1:9092."""

    def session(address: str) -> Any:
        client = KazooClient(hosts=f"{address},{address}")
        client.start(timeout=60)
        try:
            return question(client)
        finally:
            client.stop()
            client.close()

    async with zookeeper(broker_nodes("127.0.0.1:9092")) as address:
        return await asyncio.to_thread(session, address)


async def test_lists_the_broker() -> None:
    """The broker's id stands where Kafka puts it, watched or not."""
    assert await ask(lambda client: client.get_children("/brokers/ids")) == ["0"]
    assert await ask(lambda client: client.get_children("/brokers/ids", watch=lambda _: None)) == ["0"]
    assert await ask(lambda client: client.get_children("/")) == ["brokers"]


async def test_children_with_their_parent() -> None:
    """The call that wants the node's own state too gets it."""
    names, state = await ask(lambda client: client.get_children("/brokers", include_data=True))
    assert (names, state.numChildren) == (["ids"], 1)


async def test_registration_of_the_broker() -> None:
    """The broker's node says where it listens, both ways that clients look for it."""
    data, state = await ask(lambda client: client.get("/brokers/ids/0"))
    registration = json.loads(data)
    assert (registration["host"], registration["port"]) == ("127.0.0.1", 9092)
    assert registration["endpoints"] == ["PLAINTEXT://127.0.0.1:9092"]
    assert state.dataLength == len(data)


async def test_existence() -> None:
    """A node that is not there is none, and not an error."""
    assert await ask(lambda client: client.exists("/brokers/ids/0")) is not None
    assert await ask(lambda client: client.exists("/brokers/ids/1")) is None


async def test_missing_node() -> None:
    """Asking for a node that is not there fails as on a real server."""
    with pytest.raises(NoNodeError):
        await ask(lambda client: client.get("/nothing"))
