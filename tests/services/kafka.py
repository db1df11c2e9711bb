"""A real Apache Kafka and the ZooKeeper it registers with."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Self

from aiokafka.errors import KafkaError
from kazoo.client import KazooClient

from tests.services import topics
from tests.services.jars import jars
from tests.services.java import JavaServer, StartError
from tests.services.ports import ATTEMPTS, on_free_port
from tests.services.topics import Message
from tests.services.waiting import wait_until
from tests.services.zookeeper import start_zookeeper

# Nothing is ever too old to keep: tests write events of years ago.
SETTINGS = """\
broker.id=0
listeners=PLAINTEXT://127.0.0.1:{port}
zookeeper.connect={zookeeper}
zookeeper.session.timeout.ms=6000
zookeeper.connection.timeout.ms=120000
log.dirs={folder}/kafka-data
log.retention.ms=-1
num.partitions={partitions}
auto.create.topics.enable=true
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""


class RunningKafka:
    """A Kafka broker that somebody runs, registered in a ZooKeeper, both on loopback.

    Attributes:
        bootstrap: the broker's address, HOST:PORT.
        zookeeper: ZooKeeper's address, HOST:PORT.
        zookeeper_root: the node that everything of Kafka's stands under, "" for the top: its brokers are registered
            under ROOT/brokers/ids.
    """

    def __init__(self, *, bootstrap: str, zookeeper: str, root: str) -> None:
        self.bootstrap = bootstrap
        self.zookeeper = zookeeper
        self.zookeeper_root = root

    def create_topic(self, name: str, *, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """Make a topic; one that is there already is left as it is."""
        topics.create_topic(self.bootstrap, name, partitions=partitions, config=config)
        wait_until(lambda: name in self.topic_names(), seconds=60, what=f"topic {name} to have leaders")

    def delete_topic(self, name: str) -> None:
        """Remove a topic and what it holds."""
        topics.delete_topic(self.bootstrap, name)

    def topic_names(self) -> set[str]:
        """Return the names of the topics that can be written to now, Kafka's own included."""
        return topics.topic_names(self.bootstrap)

    def topic_size(self, name: str) -> int:
        """Return how many messages the topic holds now, 0 for one that does not exist."""
        return topics.topic_size(self.bootstrap, name)

    def read_topic(self, name: str) -> list[Message]:
        """Return every message of the topic, from the beginning to where it ends now."""
        return topics.read_topic(self.bootstrap, name)


class Kafka(RunningKafka):
    """One Kafka broker with its ZooKeeper, in a folder of their own; the broker keeps its address when it comes back.

    Made by `Kafka.start`. Use it as a context manager, or call `close`.
    """

    def __init__(
        self, *, broker: JavaServer, bootstrap: str, ensemble: JavaServer, zookeeper: str, root: str, folder: Path
    ) -> None:
        super().__init__(bootstrap=bootstrap, zookeeper=zookeeper, root=root)
        self._broker = broker
        self._ensemble = ensemble
        self._folder = folder

    @classmethod
    def start(cls, *, root: str = "", partitions: int = 1) -> Self:
        """Start ZooKeeper and a broker and return when both serve.

        Args:
            root: a ZooKeeper node such as "/kafka" to keep Kafka's own nodes under.
            partitions: how many a topic gets that is made by writing to it.

        Raises:
            UnavailableError: this machine can't run them; the message says what is missing.
            StartError: they would not start; the message quotes their output.
        """
        classpath = jars()
        folder = Path(tempfile.mkdtemp(prefix="logpipe-kafka-"))
        ensemble = None
        try:
            with _one_at_a_time(classpath):
                begin = partial(start_zookeeper, folder=folder, jars=classpath)
                ensemble, zookeeper = on_free_port(begin, refused=StartError)
                begin = partial(_start_broker, zookeeper + root, folder=folder, jars=classpath, partitions=partitions)
                broker, bootstrap = on_free_port(begin, refused=StartError)
        except BaseException:
            if ensemble is not None:
                ensemble.kill()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return cls(broker=broker, bootstrap=bootstrap, ensemble=ensemble, zookeeper=zookeeper, root=root, folder=folder)

    def start_broker(self) -> None:
        """Start the broker again where it was, on what it had written, and return when it serves."""
        if self._broker.running:
            return
        for attempt in range(1, ATTEMPTS + 1):
            # A killed broker stays registered until its session runs out, and its successor is refused till then.
            wait_until(lambda: not self._nodes("brokers/ids"), seconds=60, what="the old registration to run out")
            try:
                self._broker.start()
                break
            except StartError:  # on a busy machine its session may run out while it starts
                if attempt == ATTEMPTS:
                    raise
        # Kafka's own, which a consumer's group brings about, may take longer, and no test writes to them.
        there = {name for name in self._nodes("brokers/topics") if not name.startswith("__")}
        wait_until(
            lambda: there <= self.topic_names(),
            seconds=60,
            what=lambda: f"the broker to lead its old topics again; it does not lead {there - self.topic_names()}",
        )

    def stop_broker(self) -> None:
        """Stop the broker in good order; ZooKeeper goes on, with no broker registered."""
        self._broker.stop()

    def kill_broker(self) -> None:
        """Kill the broker; it stays registered in ZooKeeper for some seconds."""
        self._broker.kill()

    def close(self) -> None:
        """End both servers and remove what they wrote; safe to call twice."""
        # Nothing of it is needed again, so there is no reason to wait for an orderly end but one.
        for server in (self._broker, self._ensemble):
            if server.archives:
                server.stop()
            server.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _nodes(self, path: str) -> set[str]:
        """Return the names of the nodes that ZooKeeper has below one of Kafka's."""
        client = KazooClient(hosts=self.zookeeper)
        client.start()
        try:
            return set(client.get_children(f"{self.zookeeper_root}/{path}"))
        finally:
            client.stop()
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def _one_at_a_time(classpath: Path) -> Iterator[None]:
    """Let the processes of this machine start servers one after the other: many at once have each other time out."""
    descriptor = os.open(classpath, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _start_broker(zookeeper: str, port: int, *, folder: Path, jars: Path, partitions: int) -> tuple[JavaServer, str]:
    """Start a broker that keeps its data in the folder; return it and its address once it serves."""
    settings = folder / "kafka.properties"
    settings.write_text(SETTINGS.format(port=port, zookeeper=zookeeper, folder=folder, partitions=partitions))
    broker = JavaServer("kafka.Kafka", settings, jars=jars, heap="512m", serves=partial(_serves, port))
    broker.start()
    return broker, f"127.0.0.1:{port}"


def _serves(port: int) -> bool:
    """Whether the broker answers and knows itself: it opens its port before it does."""
    try:
        # aiokafka logs each refused connection as an error, and this one is refused for seconds.
        socket.create_connection(("127.0.0.1", port), timeout=60).close()
        return topics.brokers(f"127.0.0.1:{port}") > 0
    except (OSError, KafkaError):
        return False
