"""`@type kafka_buffered`: sends messages to Kafka from a buffer, with the parameters of fluentd 0.12."""

from __future__ import annotations

from typing import ClassVar

from logpipe import Chunk, DeliveryError, OutputHost, Size, param
from logpipe_kafka.cluster_options import NOT_USED
from logpipe_kafka.delivery.buffered import BufferedOutput
from logpipe_kafka.flat_messages import FieldNames, find_brokers, message_settings
from logpipe_kafka.messages.options import FlatOptions


class KafkaBufferedOptions(FlatOptions):
    """Settings of `@type kafka_buffered`."""

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
    kafka_agg_max_bytes: Size | None = param(
        "Accepted for compatibility; the size of batches is chosen automatically.", default=None, deprecated=NOT_USED
    )
    kafka_agg_max_messages: int | None = param(
        "Accepted for compatibility; the size of batches is chosen automatically.", default=None, deprecated=NOT_USED
    )
    monitoring_list: list[str] = param(
        "Accepted for compatibility; logpipe's own metrics say how much was sent.", default=[], deprecated=NOT_USED
    )


class KafkaBufferedOutput(BufferedOutput[KafkaBufferedOptions], type="kafka_buffered"):
    """Sends each event of a chunk to its topic. Without `<buffer ARG>` a chunk has the events of one tag."""

    compat: ClassVar = frozenset({"buffer"})
    buffer_argument = "tag"

    def __init__(self, options: KafkaBufferedOptions, host: OutputHost) -> None:
        names = FieldNames(options.topic_key, options.message_key_key, options.partition_key_key, options.partition_key)
        messages = message_settings(options, host, names=names, use_event_time=options.use_event_time)
        super().__init__(options, host, brokers=find_brokers(options, host), messages=messages)

    def give_up(self, chunk: Chunk, error: DeliveryError) -> None:
        """Let the buffer retry, unless undelivered events are to be discarded."""
        if not self.options.discard_kafka_delivery_failed:
            raise error
        self.discard(chunk, error)
