"""`@type kafka`: reads given partitions, without a consumer group. in_kafka.rb."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from logpipe import InputHost, InvalidSetting, Options, param, section
from logpipe_kafka.cluster_options import listed, optional_integer, unset_if_empty
from logpipe_kafka.consumer.events import Events
from logpipe_kafka.consumer.options import TaggedOptions
from logpipe_kafka.consumer.reader import PartitionsInput, close
from logpipe_kafka.consumer.zookeeper_offsets import ZooKeeperOffsets

LATEST: Final = -1
EARLIEST: Final = -2


class TopicOptions(Options):
    """One `<topic>`: a partition to read."""

    topic: str = param("The topic's name.")
    partition: int = param("The partition's number.", default=0)
    offset: int = param(
        "Where to begin: an offset, -1 for messages that come from now on, -2 for the oldest.", default=-1
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield numbers that are out of range."""
        yield from _check_place(self.partition, self.offset)


class KafkaInputOptions(TaggedOptions):
    """Settings of `@type kafka`."""

    topics: str | None = param(
        "Topics, `a,b`, of each of which one partition is read; else write `<topic>` sections.",
        default=None,
        convert=unset_if_empty,
    )
    partition: int = param("The partition that is read of each of `topics`.", default=0)
    offset: int = param(
        "Where `topics` are begun: an offset, -1 for messages that come from now on, -2 for the oldest.", default=-1
    )
    topic: list[TopicOptions] = section("A partition to read, where there is no `topics`.", many=True)
    add_offset_in_record: bool = param(
        "Add the fields `kafka_topic`, `kafka_partition` and `kafka_offset`.", default=False
    )
    interval: int = param("How many seconds a broker waits for messages, where `max_wait_time` is unset.", default=1)
    offset_zookeeper: str | None = param(
        "ZooKeeper's addresses, `host:port,host:port`, to keep offsets in; without it each run begins at `offset`, so "
        "that what comes between two runs is not read. `kafka_group` keeps offsets in Kafka.",
        default=None,
        convert=unset_if_empty,
    )
    offset_zk_root_node: str = param("The node that offsets stand under.", default="/fluent-plugin-kafka")
    host: str | None = param("Host of a broker, in place of `brokers`.", default=None, convert=unset_if_empty)
    port: int | None = param("Port of a broker, in place of `brokers`.", default=None, convert=optional_integer)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be read."""
        yield from super().check()
        if not self.entries:
            # compat: the message of in_kafka.rb
            yield InvalidSetting(
                "'topics' or 'topic element' is a require parameter: write topics NAME", param="topics"
            )
        yield from _check_place(self.partition, self.offset)

    @property
    def entries(self) -> dict[TopicPartition, int]:
        """The partitions, and where they begin."""
        if self.topics is not None:
            return {TopicPartition(name, self.partition): self.offset for name in listed(self.topics)}
        return {TopicPartition(each.topic, each.partition): each.offset for each in self.topic}

    @property
    def addresses(self) -> list[str]:
        """The brokers; compat: in_kafka.rb takes `host` and `port` first."""
        if self.host or self.port:
            return [f"{self.host or 'localhost'}:{self.port or 9092}"]
        return self.brokers

    @property
    def fetching(self) -> dict[str, Any]:
        """The consumer's arguments for it."""
        return {"fetch_max_wait_ms": self.interval * 1000, **super().fetching}


def _check_place(partition: int, offset: int) -> Iterator[InvalidSetting]:
    if partition < 0:
        yield InvalidSetting("partition must be 0 or more", param="partition")
    if offset < EARLIEST:
        yield InvalidSetting("offset must be 0 or more, or -1 for the latest, or -2 for the oldest", param="offset")


class KafkaInput(PartitionsInput[KafkaInputOptions], type="kafka"):
    """Reads given partitions.

    With `offset_zookeeper` a run goes on where nothing was owed any more in the last one.
    """

    def __init__(self, options: KafkaInputOptions, host: InputHost) -> None:
        super().__init__(
            options,
            host,
            events=Events(options, host, add_offset=options.add_offset_in_record),
            addresses=options.addresses,
        )
        self._entries = options.entries
        self._stored: ZooKeeperOffsets | None = None
        if options.offset_zookeeper is not None:
            self._stored = ZooKeeperOffsets(options.offset_zookeeper, options.offset_zk_root_node, host)

    async def open(self, arguments: Mapping[str, Any]) -> AIOKafkaConsumer:
        """Return a consumer of the partitions.

        Raises:
            KafkaError: no broker answers.
        """
        # an offset that is no longer there means that what follows it is
        consumer = AIOKafkaConsumer(auto_offset_reset="earliest", **arguments, **self.options.fetching)
        try:
            await consumer.start()
            consumer.assign([*self._entries])
        except BaseException:
            await close(consumer)
            raise
        self.consumer = consumer
        for partition in self._entries:
            self.begin(consumer, partition)
        return consumer

    async def place(self, partition: TopicPartition) -> None:
        """Have the consumer begin where the last session or run has ended, or where the settings say.

        Raises:
            KafkaError: no broker answers for this partition, or ZooKeeper does not.
        """
        consumer = self.consumer
        offset = self._entries[partition]
        if offset == LATEST and self._stored is not None:
            offset = await self._stored.load(partition)
        if offset == LATEST:
            offset = (await consumer.end_offsets([partition]))[partition]
        elif offset == EARLIEST:
            offset = (await consumer.beginning_offsets([partition]))[partition]
        self._entries[partition] = offset
        consumer.seek(partition, offset)

    async def save(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Keep offsets for the next session, and in ZooKeeper for the next run.

        Raises:
            KafkaError: ZooKeeper does not answer.
        """
        self._entries |= offsets
        if self._stored is not None:
            await self._stored.save(offsets)

    async def stop(self) -> None:
        """Save what is settled, and close all connections."""
        await super().stop()
        if self._stored is not None:
            await self._stored.stop()
