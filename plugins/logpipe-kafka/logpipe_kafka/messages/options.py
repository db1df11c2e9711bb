"""Settings of a message's address and content."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Self

from logpipe import InvalidSetting, PluginConf, param, plugin_section
from logpipe.tree import Element, Report
from logpipe_kafka.cluster_options import ClusterOptions, optional_integer, unset_if_empty
from logpipe_kafka.messages.partitioner import HashName
from logpipe_kafka.messages.payload import own_encoding


class FieldNames(NamedTuple):
    """The fields of a record that address a message."""

    topic: str = "topic"
    key: str = "message_key"
    partition_key: str = "partition_key"
    partition: str = "partition"


class MessageOptions(ClusterOptions):
    """Settings of topics, keys and partitions of every Kafka output."""

    default_topic: str | None = param(
        "Topic of events without one; unset: their tag.", default=None, convert=unset_if_empty
    )
    default_message_key: str | None = param(
        "Key of messages whose event has none.", default=None, convert=unset_if_empty
    )
    default_partition_key: str | None = param(
        "Partition key of events without one.", default=None, convert=unset_if_empty
    )
    default_partition: int | None = param("Partition of events without one.", default=None, convert=optional_integer)
    partitioner_hash_function: HashName = param(
        "Hash from a key to a partition: crc32 as in ruby-kafka, or murmur2 as in Java's client.", default="crc32"
    )
    exclude_topic_key: bool = param("Leave the field that names the topic out of the message.", default=False)
    exclude_message_key: bool = param("Leave the field that holds the message's key out of it.", default=False)
    exclude_partition_key: bool = param("Leave the field that is hashed out of the message.", default=False)
    exclude_partition: bool = param("Leave the field that names the partition out of the message.", default=False)

    max_topics: int = param(
        "Most topics to write to within a day, since log lines may determine them; events for more go to "
        "`default_topic`, or to `@ERROR` where that is not set. 0: no limit.",
        default=2000,
    )

    @property
    def names(self) -> FieldNames:
        """The fields that address a message."""
        return FieldNames()

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield settings that contradict each other."""
        yield from super().check()
        if self.max_topics < 0:
            yield InvalidSetting("max_topics must be 0 or more", param="max_topics")
        if self.default_partition is not None and self.default_partition < 0:
            yield InvalidSetting("default_partition must be 0 or more", param="default_partition")


class BufferedOptions(MessageOptions):
    """Further settings of the outputs with a buffer."""

    topic_key: str = param("Field with the topic.", default="topic")
    message_key_key: str = param("Field with the message's key.", default="message_key")
    partition_key_key: str = param("Field that is hashed to choose the partition.", default="partition_key")
    partition_key: str = param("Field with the partition's number.", default="partition")
    use_event_time: bool = param(
        "Whether Kafka's timestamp is the event's time rather than the time of sending.", default=False
    )
    discard_kafka_delivery_failed: bool = param(
        "Discard undelivered events instead of retrying the chunk.", default=False
    )

    @property
    def names(self) -> FieldNames:
        """The fields that address a message."""
        return FieldNames(self.topic_key, self.message_key_key, self.partition_key_key, self.partition_key)


class FlatOptions(MessageOptions):
    """Further settings of fluentd 0.12's outputs: ZooKeeper, and the payload in flat parameters."""

    zookeeper: str | None = param(
        "ZooKeeper's addresses, `host:port,host:port`, where the brokers are registered; used in place of `brokers`.",
        default=None,
        convert=unset_if_empty,
    )
    zookeeper_path: str = param("The node whose children are the brokers.", default="/brokers/ids")
    ack_timeout_ms: int | None = param(
        "The same as `ack_timeout`, in milliseconds.", default=None, deprecated="use ack_timeout, in seconds"
    )
    output_data_type: str = param(
        "The payload: `json`, `ltsv`, `msgpack`, `attr:FIELD,FIELD`, or the name of a formatter, whose parameters are "
        "written beside it.",
        default="json",
    )
    output_include_tag: bool = param("Write the tag to the field `tag`, replacing its value.", default=False)
    output_include_time: bool = param("Write the event's time to the field `time`, replacing its value.", default=False)
    time_format: str | None = param(
        "Format of that time, as strftime reads it; unset: seconds since the epoch.",
        default=None,
        convert=unset_if_empty,
    )
    format: PluginConf | None = plugin_section("The formatter that `output_data_type` names.", kind="formatter")

    @classmethod
    def read(cls, element: Element, report: Report, **how: Any) -> Self:
        """Read the settings; a formatter that `output_data_type` names gets a section with its parameters."""
        name = element.get("output_data_type", "json") or "json"
        if own_encoding(name) is None and not any(element.sections("format")):
            # compat: out_kafka.rb configures the formatter with the output's own section
            known = {setting.name or attribute for attribute, setting in cls.settings().items()}
            section = Element("format", position=element.position)
            section.set("@type", name, element.params["output_data_type"].value_position)
            for parameter in list(element.params.values()):
                if parameter.name not in known and not parameter.name.startswith("@") and parameter.name != "type":
                    section.params[parameter.name] = element.params.pop(parameter.name)
            element.elements.append(section)
        return super().read(element, report, **how)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield settings that contradict each other."""
        yield from super().check()
        if not self.zookeeper_path.startswith("/"):
            message = f'zookeeper_path "{self.zookeeper_path}" must begin with a slash, like /brokers/ids'
            yield InvalidSetting(message, param="zookeeper_path")

    @property
    def needs_brokers(self) -> bool:
        """Whether ZooKeeper is not configured."""
        return not self.zookeeper

    @property
    def ack_seconds(self) -> float:
        """The seconds that the leader may wait for its replicas."""
        # compat: out_kafka.rb divides ack_timeout_ms by 1000 and drops the rest: 500 is 0 there, half a second here
        if not self.ack_timeout and self.ack_timeout_ms and self.ack_timeout_ms > 0:
            return self.ack_timeout_ms / 1000
        return super().ack_seconds
