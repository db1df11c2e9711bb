"""`@type kafka_group` against the mock cluster: which offsets are committed when, and who reads what."""

from __future__ import annotations

import asyncio

import pytest

from logpipe import EventBatch, Options, Output, OutputHost
from logpipe.testing import check_plugin, drive, pipeline, wait_for
from logpipe_kafka.in_kafka_group import KafkaGroup
from tests.services.mock_kafka import MockKafka
from tests.services.producing import committed, produce


def conf(mock: MockKafka, more: str = "") -> str:
    """The settings of a member of the group `g`; the mock waits a session's time for one that has left."""
    return f"brokers {mock.bootstrap}\nconsumer_group g\ntopics t\nsession_timeout 1\n{more}"


class Keeping(Output[Options], type="keeping"):
    """Keeps the receipts of batches until it is told to let go of them, or refuses batches."""

    def __init__(self, options: Options, host: OutputHost) -> None:
        super().__init__(options, host)
        self.taken: list[EventBatch] = []
        self.refused = 0
        self.refuses = False

    async def process(self, batch: EventBatch) -> None:
        """Take a batch."""
        if self.refuses:
            self.refused += 1
            raise RuntimeError("not now")
        assert batch.receipt is not None
        batch.receipt.hold()
        self.taken.append(batch)

    def settle(self, number: int) -> None:
        """Release the receipt of a batch."""
        receipt = self.taken[number].receipt
        assert receipt is not None
        receipt.release()


def keeping(settings: str) -> str:
    """A configuration whose output is that one."""
    return f"<source>\n@type kafka_group\n{settings}\n</source>\n<match t>\n@type keeping\n</match>"


async def test_contract() -> None:
    """It promises what every plugin does."""
    await check_plugin(KafkaGroup, "consumer_group g\ntopics t")


async def test_offsets_come_from_receipts(mock: MockKafka) -> None:
    """Nothing is committed that is owed, nor anything behind it; the next run begins there."""
    settings = conf(mock, "offset_commit_interval 0.05\noffset_commit_threshold 1")
    async with pipeline(keeping(settings), KafkaGroup, Keeping, expect_gaps=True) as stage:
        output: Keeping = stage.plugin(Keeping)
        for n in range(3):
            await produce(mock.bootstrap, "t", b'{"n":%d}' % n)
            await wait_for(lambda n=n: len(output.taken) == n + 1, "the batch")  # type: ignore[misc]
        output.settle(1)
        output.settle(0)
        await wait_for_offset(mock, 2)
    assert await committed(mock.bootstrap, "g", "t") == [2]
    async with drive(KafkaGroup, conf(mock)) as stage:
        await wait_for(stage.events, "the event that was owed")
        assert stage.records() == [{"n": 2}]
    assert await committed(mock.bootstrap, "g", "t") == [3]


async def wait_for_offset(mock: MockKafka, offset: int) -> None:
    """Return when the group has committed it."""
    while await committed(mock.bootstrap, "g", "t") != [offset]:
        await asyncio.sleep(0)


async def test_a_partition_waits_while_too_much_is_owed(mock: MockKafka) -> None:
    """No more is read of it than the limit says, and reading goes on when something settles; another one is read."""
    settings = conf(mock, "fetcher_max_queue_size 2\nmax_bytes 100\nmax_wait_time 0\nmin_bytes 1")
    async with pipeline(keeping(settings), KafkaGroup, Keeping, expect_gaps=True) as stage:
        output: Keeping = stage.plugin(Keeping)
        for n in range(2):
            await produce(mock.bootstrap, "t", b'{"n":%d}' % n)
            await wait_for(lambda n=n: len(output.taken) == n + 1, "the batch")  # type: ignore[misc]
        await produce(mock.bootstrap, "t", b'{"n":2}')
        await produce(mock.bootstrap, "t", b'{"n":3}', partition=1)
        await wait_for(lambda: len(output.taken) == 3, "the batch of the other partition")
        assert [batch.records[0]["n"] for batch in output.taken] == [0, 1, 3]
        output.settle(0)
        await wait_for(lambda: len(output.taken) == 4, "the batch that waited")
        assert stage.metric("owed_bytes") == 21


async def test_what_is_refused_is_offered_again(mock: MockKafka) -> None:
    """Until an output takes it, and only then is its offset committed."""
    await produce(mock.bootstrap, "t", b'{"n":1}', b"bad")
    async with pipeline(keeping(conf(mock)), KafkaGroup, Keeping, expect_gaps=True) as stage:
        output: Keeping = stage.plugin(Keeping)
        output.refuses = True
        await wait_for(lambda: output.refused > 1, "two refusals")
        output.refuses = False
        await wait_for(lambda: output.taken, "the batch")
        assert output.taken[0].records == [{"n": 1}]
        assert len(stage.errors) == 1
        assert "events of t/0 were not taken, trying again in 0.1 seconds" in " ".join(stage.log.texts())
        output.settle(0)
    assert await committed(mock.bootstrap, "g", "t") == [2]


@pytest.mark.parametrize("topics", ["a-1,a-2", "/a-[12]/", "a-1,/^.-2$/"])
async def test_topics(mock: MockKafka, topics: str) -> None:
    """A list, an expression that matches anywhere in a name, or both; what is not there yet is read when it is."""
    for n, topic in enumerate(("a-1", "a-2", "b")):
        await produce(mock.bootstrap, topic, b'{"n":%d}' % n)
    settings = f"brokers {mock.bootstrap}\nconsumer_group g\ntopics {topics}\nrefresh_topic_interval 1"
    async with drive(KafkaGroup, settings) as stage:
        await wait_for(lambda: len(stage.events()) == 2, "the events")
        assert {record["n"] for record in stage.records()} == {0, 1}
