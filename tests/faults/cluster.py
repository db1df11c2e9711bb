"""A Kafka cluster for a trial, and the configuration that writes to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from tests.faults import texts
from tests.faults.sinks import KafkaSink
from tests.faults.trial import Trial
from tests.services.in_thread import in_thread
from tests.services.mock_kafka import MockKafka
from tests.services.tcp_proxy import TcpProxy, tcp_proxy

LINES: Final = 300
BUFFERS: Final = {"kafka": "", "kafka2": "@type file\npath {folder}/buffer"}


class Arrivals:
    """What arrived in topics, in the order of each partition."""

    def __init__(self, trial: Trial) -> None:
        self.order: list[str] = []
        self._trial = trial

    def enter(self, _topic: str, record: dict[str, Any]) -> None:
        """Enter a message's record."""
        self.order.append(record["message"])
        self._trial.account.arrived(record["message"])


@contextlib.contextmanager
def mock_cluster(trial: Trial, partitions: dict[str, int], *, brokers: int = 3) -> Iterator[tuple[MockKafka, Arrivals]]:
    """Give a trial a mock cluster, and have what arrives there entered."""
    with MockKafka(brokers) as mock:
        for topic, count in partitions.items():
            mock.create_topic(topic, partitions=count)
            for number in range(count):
                mock.set_leader(topic, number, number % brokers + 1)
        with reading(trial, mock.bootstrap, partitions) as arrivals:
            yield mock, arrivals


@contextlib.contextmanager
def reading(
    trial: Trial, bootstrap: str, partitions: dict[str, int], settings: dict[str, Any] | None = None
) -> Iterator[Arrivals]:
    """Have what arrives in topics entered, by a client with these settings of its own."""
    arrivals = Arrivals(trial)
    with KafkaSink(bootstrap, partitions, arrivals.enter, settings) as sink:
        trial.read = sink.read
        yield arrivals
        trial.arrived()
        trial.read = _nothing


@contextlib.contextmanager
def first_broker_behind_proxy(mock: MockKafka) -> Iterator[TcpProxy]:
    """Have the first broker lead the only partition of the topic t, and stand between it and its clients."""
    mock.set_leader("t", 0, 1)
    with in_thread(lambda: tcp_proxy(mock.bootstrap.split(",")[0])) as proxy:
        mock.advertise(1, proxy.port)
        yield proxy


def to_cluster(trial: Trial, bootstrap: str, *, buffer: str = "", more: str = "") -> str:
    """Return a configuration that sends a trial's logs to the topic t."""
    output = texts.to_kafka(bootstrap, buffer=buffer.format(folder=trial.folder), more=more)
    return texts.tail(trial.folder) + output


def _nothing() -> bool:
    return False
