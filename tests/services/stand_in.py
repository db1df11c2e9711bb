"""The demo's stand-ins for Kafka and ZooKeeper, with the face of the real ones."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Self

from examples.demo.tansu import broker
from examples.demo.zookeeper import broker_nodes, zookeeper
from tests.services import topics
from tests.services.in_thread import in_thread
from tests.services.topics import Message


class StandInKafka:
    """Tansu, registered in a stand-in for ZooKeeper.

    Made by `StandInKafka.start`. Use it as a context manager, or call `close`.

    Attributes:
        bootstrap: the broker's address, HOST:PORT.
        zookeeper: ZooKeeper's address, HOST:PORT.
        zookeeper_root: the node that everything of Kafka's stands under: always the top.
    """

    zookeeper_root = ""

    def __init__(self, bootstrap: str, ensemble: str, running: contextlib.ExitStack) -> None:
        self.bootstrap = bootstrap
        self.zookeeper = ensemble
        self._running = running

    @classmethod
    def start(cls) -> Self:
        """Start both and return when they serve."""
        with contextlib.ExitStack() as starting:
            bootstrap, ensemble = starting.enter_context(in_thread(_registered_broker))
            return cls(bootstrap, ensemble, starting.pop_all())

    def create_topic(self, name: str, *, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """Make a topic; one that is there already is left as it is."""
        topics.create_topic(self.bootstrap, name, partitions=partitions, config=config)

    def delete_topic(self, name: str) -> None:
        """Remove a topic and what it holds."""
        topics.delete_topic(self.bootstrap, name)

    def topic_size(self, name: str) -> int:
        """Return how many messages the topic holds now, 0 for one that does not exist."""
        # Asked for it, Tansu says where the last batch begins.
        return len(self.read_topic(name))

    def read_topic(self, name: str) -> list[Message]:
        """Return every message of the topic, from the beginning to where it ends now."""
        return topics.read_topic(self.bootstrap, name)

    def close(self) -> None:
        """End both; safe to call twice."""
        self._running.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.asynccontextmanager
async def _registered_broker() -> AsyncIterator[tuple[str, str]]:
    async with broker() as bootstrap, zookeeper(broker_nodes(bootstrap)) as ensemble:
        yield bootstrap, ensemble
