"""`@type kafka` as an input: given partitions, where they begin, and offsets in ZooKeeper."""

from __future__ import annotations

import pytest

from logpipe import ConfigError
from logpipe.testing import check_plugin, configure, drive, wait_for
from logpipe_kafka.in_kafka import KafkaInput
from tests.services.mock_kafka import MockKafka
from tests.services.producing import numbers, produce


async def test_contract() -> None:
    """It promises what every plugin does."""
    await check_plugin(KafkaInput, "topics t")


async def test_partitions_and_offsets(mock: MockKafka) -> None:
    """Each `<topic>` is one partition from one offset on; prefix and suffix make the tag."""
    await produce(mock.bootstrap, "a", *(b'{"n":%d}' % n for n in range(3)), partition=1)
    await produce(mock.bootstrap, "b", b'{"n":7}')
    topics = "<topic>\ntopic a\npartition 1\noffset 1\n</topic>\n<topic>\ntopic b\noffset -2\n</topic>"
    settings = f"brokers {mock.bootstrap}\nadd_prefix x\nadd_suffix y\nadd_offset_in_record true\n{topics}"
    async with drive(KafkaInput, settings) as stage:
        await wait_for(lambda: len(stage.events()) == 3, "the events")
        assert stage.records("x.a.y") == [
            {"n": n, "kafka_topic": "a", "kafka_partition": 1, "kafka_offset": n} for n in (1, 2)
        ]
        assert numbers(stage.records("x.b.y")) == [7]


async def test_topics(mock: MockKafka) -> None:
    """One partition of each; an offset of -1 means what comes from now on. `host` and `port` stand for `brokers`."""
    await produce(mock.bootstrap, "t", b'{"n":1}', partition=2)
    host, _, port = mock.bootstrap.split(",")[0].partition(":")
    settings = f"host {host}\nport {port}\ntopics t\npartition 2\noffset -1\ninterval 1\nmax_wait_time 1"
    async with drive(KafkaInput, settings) as stage:
        (entries,) = [stage.plugin(KafkaInput)._entries]
        await wait_for(lambda: set(entries.values()) == {1}, "the place to begin at")
        await produce(mock.bootstrap, "t", b'{"n":2}', partition=2)
        await wait_for(stage.events, "the event")
        assert stage.records() == [{"n": 2}]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("", "'topics' or 'topic element' is a require parameter"),
        ("<topic>\n</topic>", '"topic" is required'),
        ("topics t\noffset -3", "offset must be 0 or more"),
        ("topics t\npartition -1", "partition must be 0 or more"),
    ],
)
def test_what_cannot_be_read(settings: str, message: str) -> None:
    """It is a mistake."""
    with pytest.raises(ConfigError, match=message):
        configure(KafkaInput, settings)
