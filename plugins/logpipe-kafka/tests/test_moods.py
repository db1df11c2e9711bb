"""Each output with a real broker that is down, slow, silent, resets, garbles or refuses: the suite of all outputs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any

import pytest
from aiokafka.conn import AIOKafkaConnection

from logpipe import Output
from logpipe.testing import Mood, check_output_against_peer
from logpipe_kafka.out_kafka import KafkaOutput
from logpipe_kafka.out_kafka2 import Kafka2Output
from logpipe_kafka.out_kafka_buffered import KafkaBufferedOutput
from tests.services import topics
from tests.services.feeding import numbers
from tests.services.kafka import Kafka
from tests.services.mock_kafka import Error, MockKafka, Request
from tests.services.tcp_proxy import TcpProxy, split
from tests.services.topics import Message

OUTPUTS: list[type[Output[Any]]] = [KafkaOutput, KafkaBufferedOutput, Kafka2Output]
BUFFER = "flush_mode immediate\nretry_wait 0.1\nretry_max_interval 0.5\nchunk_limit_size 1m\ntotal_limit_size 4m"
MANY = 10_000


class Broker(TcpProxy):
    """The only way to a broker, which is put into moods on it."""

    moods = TcpProxy.moods | {Mood.REFUSING_ONE}

    def __init__(self, bootstrap: str, read: Callable[[], list[Message]]) -> None:
        super().__init__(*split(bootstrap))
        self._read = read

    async def received(self) -> Collection[int]:
        """Read the topic."""
        return set(numbers(await asyncio.to_thread(self._read)))


class Refusing:
    """A mock of a broker that answers requests with errors."""

    moods = (Mood.FAILING, Mood.REFUSING_ALL)

    def __init__(self, mock: MockKafka) -> None:
        self._mock = mock
        mock.create_topic("t", partitions=1)
        mock.count_requests()

    @property
    def met(self) -> int:
        """Produce requests so far."""
        return list(self._mock.requests()).count(Request.PRODUCE)

    async def become(self, mood: Mood) -> None:
        """Answer Produce requests with errors, or as they are."""
        self._mock.forgive_requests(Request.PRODUCE)
        if mood is not Mood.WELL:
            error = Error.NOT_ENOUGH_REPLICAS if mood is Mood.FAILING else Error.TOPIC_AUTHORIZATION_FAILED
            self._mock.fail_requests(Request.PRODUCE, *[error] * MANY)

    async def received(self) -> Collection[int]:
        """Read the topic."""
        return set(numbers(await asyncio.to_thread(topics.read_topic, self._mock.bootstrap, "t")))


def conf(cls: type[Output[Any]], bootstrap: str, topic: str) -> str:
    """The body of a section; with a buffer where there is one."""
    keys = "" if cls is KafkaBufferedOutput else " topic"
    buffer = f"<buffer{keys}>\n{BUFFER}\n</buffer>" if cls.is_buffered() else ""
    return f"brokers {bootstrap}\ndefault_topic {topic}\n{buffer}"


@pytest.mark.services
@pytest.mark.slow("connections that are silent are given up after seconds")
@pytest.mark.parametrize("mood", [mood for mood in Mood if mood in Broker.moods])
@pytest.mark.parametrize("cls", OUTPUTS)
async def test_a_broker_in_a_mood(
    cls: type[Output[Any]], mood: Mood, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost, all is delivered in the end, it stops in time, and what waits is bounded."""
    topic = f"moods-{cls.__name__}-{mood.name}"
    config = {"max.message.bytes": "20000"} if mood is Mood.REFUSING_ONE else None
    await asyncio.to_thread(kafka.create_topic, topic, config=config)
    monkeypatch.setattr("logpipe_kafka.cluster.session.REQUEST_SECONDS", 1.0)
    connect = AIOKafkaConnection.connect
    async with Broker(kafka.bootstrap, lambda: kafka.read_topic(topic)).standing() as broker:

        async def connect_through(connection: Any) -> Any:
            connection._port = broker.port
            return await connect(connection)

        monkeypatch.setattr(AIOKafkaConnection, "connect", connect_through)
        too_large = {"message": "x" * 30_000}
        await check_output_against_peer(cls, conf(cls, kafka.bootstrap, topic), broker, mood, marked=too_large)


@pytest.mark.parametrize("mood", Refusing.moods)
@pytest.mark.parametrize("cls", OUTPUTS)
async def test_a_broker_that_answers_with_errors(cls: type[Output[Any]], mood: Mood) -> None:
    """The same of errors that pass, and of those that do not."""
    with MockKafka(1) as mock:
        await check_output_against_peer(cls, conf(cls, mock.bootstrap, "t"), Refusing(mock), mood)
