"""The demo's stand-ins for Kafka and ZooKeeper, with the face of the real ones."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Self

from examples.demo.tansu import broker
from examples.demo.zookeeper import broker_nodes, zookeeper
from tests.services import topics
from tests.services.topics import Message


class StandInKafka:
    """Tansu, registered in a stand-in for ZooKeeper; both run by an event loop in a thread of its own.

    Made by `StandInKafka.start`. Use it as a context manager, or call `close`.

    Attributes:
        bootstrap: the broker's address, HOST:PORT.
        zookeeper: ZooKeeper's address, HOST:PORT.
        zookeeper_root: the node that everything of Kafka's stands under: always the top.
    """

    zookeeper_root = ""

    def __init__(self) -> None:
        self.bootstrap = ""
        self.zookeeper = ""
        self._started: Future[None] = Future()
        self._stop: Callable[[], object] = bool
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="stand-in kafka")

    @classmethod
    def start(cls) -> Self:
        """Start both and return when they serve."""
        kafka = cls()
        kafka._thread.start()
        kafka._started.result()
        return kafka

    def create_topic(self, name: str, *, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """Make a topic; one that is there already is left as it is."""
        topics.create_topic(self.bootstrap, name, partitions=partitions, config=config)

    def topic_size(self, name: str) -> int:
        """Return how many messages the topic holds now, 0 for one that does not exist."""
        # Asked for it, Tansu says where the last batch begins.
        return len(self.read_topic(name))

    def read_topic(self, name: str) -> list[Message]:
        """Return every message of the topic, from the beginning to where it ends now."""
        return topics.read_topic(self.bootstrap, name)

    def close(self) -> None:
        """End both; safe to call twice."""
        if self._thread.is_alive():
            self._stop()
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _serve(self) -> None:
        stop = asyncio.Event()
        self._stop = partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set)
        try:
            async with broker() as self.bootstrap, zookeeper(broker_nodes(self.bootstrap)) as self.zookeeper:
                self._started.set_result(None)
                await stop.wait()
        except BaseException as error:
            self._started.set_exception(error)
            raise
