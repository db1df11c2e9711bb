"""`@type kafka_buffered`: sends messages to Kafka from a buffer, with the parameters of fluentd 0.12."""

from __future__ import annotations

from typing import ClassVar

from logpipe import Chunk, DeliveryError, OutputHost, Size, param
from logpipe_kafka.cluster_options import NOT_USED
from logpipe_kafka.delivery.buffered import BufferedOutput
from logpipe_kafka.flat_messages import find_brokers, flat_messages
from logpipe_kafka.messages.options import BufferedOptions, FlatOptions


class KafkaBufferedOptions(BufferedOptions, FlatOptions):
    """Settings of `@type kafka_buffered`."""

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
        messages = flat_messages(options, host, use_event_time=options.use_event_time)
        super().__init__(options, host, brokers=find_brokers(options, host), messages=messages)

    def give_up(self, chunk: Chunk, error: DeliveryError) -> None:
        """Let the buffer retry, unless undelivered events are to be discarded."""
        if not self.options.discard_kafka_delivery_failed:
            raise error
        self.discard(chunk, error)
