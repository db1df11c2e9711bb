"""`@type rdkafka` and `@type rdkafka2`: fluentd's outputs on librdkafka.

They differ from kafka_buffered and kafka2 in their client only. Here all have the same one, so that librdkafka's own
settings have no effect and are warned about.
"""

from __future__ import annotations

import re

from logpipe import Chunk, DeliveryError, PermanentError, Size, param
from logpipe_kafka.out_kafka2 import Kafka2Options, Kafka2Output
from logpipe_kafka.out_kafka_buffered import KafkaBufferedOptions, KafkaBufferedOutput

UNUSED = "Accepted for fluentd's sake; a setting of librdkafka."
HINT = "logpipe does not use librdkafka: remove it, or look for a parameter of the output's own"


class RdkafkaOptions(KafkaBufferedOptions):
    """Settings of `@type rdkafka`."""

    # compat: out_rdkafka.rb has no such parameter and authenticates without TLS too
    sasl_over_ssl: bool = param("Refuse to authenticate without TLS.", default=False)
    rdkafka_buffering_max_ms: int | None = param(UNUSED, default=None, deprecated=HINT)
    rdkafka_buffering_max_messages: int | None = param(UNUSED, default=None, deprecated=HINT)
    rdkafka_message_max_bytes: int | None = param(UNUSED, default=None, deprecated=HINT)
    rdkafka_message_max_num: int | None = param(UNUSED, default=None, deprecated=HINT)
    rdkafka_delivery_handle_poll_timeout: int | None = param(UNUSED, default=None, deprecated=HINT)
    rdkafka_options: dict[str, str] = param(UNUSED, default={}, deprecated=HINT)
    max_enqueue_retries: int | None = param(UNUSED, default=None, deprecated=HINT)
    enqueue_retry_backoff: int | None = param(UNUSED, default=None, deprecated=HINT)


class RdkafkaOutput(KafkaBufferedOutput, type="rdkafka"):
    """Does what kafka_buffered does."""

    options_class = RdkafkaOptions


class Rdkafka2Options(Kafka2Options):
    """Settings of `@type rdkafka2`."""

    without_brokers = "warning"

    # compat: out_rdkafka2.rb has no such parameter and authenticates without TLS too
    sasl_over_ssl: bool = param("Refuse to authenticate without TLS.", default=False)
    output_data_type: str | None = param("What a message holds.", default=None, removed="use <format>")
    output_include_tag: bool | None = param("Write the tag.", default=None, removed="use <inject>")
    output_include_time: bool | None = param("Write the time.", default=None, removed="use <inject>")
    discard_kafka_delivery_failed_regex: re.Pattern[str] | None = param(
        "Throw away what could not be delivered when the error matches, instead of trying the chunk again.",
        default=None,
    )
    use_default_for_unknown_partition_error: bool = param(
        "Accepted for fluentd's sake; an event for a partition that does not exist goes to `@ERROR`.",
        default=False,
        deprecated="remove it: an event for a partition that does not exist goes to @ERROR",
    )
    unrecoverable_error_codes: list[str] = param(
        "Accepted for fluentd's sake; a refused topic's chunk goes to `<secondary>`, a message that is too large to "
        "`@ERROR`, and everything else is tried again.",
        default=[],
        deprecated="remove it: a refused topic's chunk goes to <secondary>, a message that is too large to @ERROR",
    )
    rdkafka_buffering_max_ms: int | None = param(UNUSED, default=None, deprecated=HINT)
    rdkafka_buffering_max_messages: int | None = param(UNUSED, default=None, deprecated=HINT)
    rdkafka_message_max_bytes: int | None = param(UNUSED, default=None, deprecated=HINT)
    rdkafka_message_max_num: int | None = param(UNUSED, default=None, deprecated=HINT)
    rdkafka_delivery_handle_poll_timeout: int | None = param(UNUSED, default=None, deprecated=HINT)
    rdkafka_options: dict[str, str] = param(UNUSED, default={}, deprecated=HINT)
    max_enqueue_retries: int | None = param(UNUSED, default=None, deprecated=HINT)
    enqueue_retry_backoff: int | None = param(UNUSED, default=None, deprecated=HINT)
    max_enqueue_bytes_per_second: Size | None = param(UNUSED, default=None, deprecated=HINT)


class Rdkafka2Output(Kafka2Output, type="rdkafka2"):
    """Does what kafka2 does, and can throw away what fails in a certain way."""

    options_class = Rdkafka2Options
    options: Rdkafka2Options

    def give_up(self, chunk: Chunk, error: DeliveryError) -> None:
        """Let the buffer try again, unless the settings say otherwise of this error."""
        pattern = self.options.discard_kafka_delivery_failed_regex
        if pattern is not None and not isinstance(error, PermanentError) and pattern.search(str(error)):
            self.discard(chunk, error)
            return
        super().give_up(chunk, error)
