"""`@type rdkafka` and `@type rdkafka2`: fluentd's outputs on librdkafka.

In fluentd they differ from kafka_buffered and kafka2 in the client. Here all have the same one, so that librdkafka's
own settings have no effect; a warning names them.
"""

from __future__ import annotations

import re

from logpipe import Chunk, DeliveryError, Options, PermanentError, Size, param
from logpipe_kafka.out_kafka2 import Kafka2Options, Kafka2Output
from logpipe_kafka.out_kafka_buffered import KafkaBufferedOptions, KafkaBufferedOutput

UNUSED = "Accepted for compatibility; a setting of librdkafka."
HINT = "logpipe does not use librdkafka: remove it, or look for a parameter of the output's own"


class LibrdkafkaOptions(Options):
    """The settings that both have beside those of the outputs that they are like."""

    # compat: out_rdkafka.rb and out_rdkafka2.rb have no such parameter and authenticate without TLS too
    sasl_over_ssl: bool = param("Refuse to authenticate without TLS.", default=False)
    rdkafka_buffering_max_ms: int | None = param(UNUSED, default=None, deprecated=HINT)
    rdkafka_buffering_max_messages: int | None = param(UNUSED, default=None, deprecated=HINT)
    rdkafka_message_max_bytes: int | None = param(UNUSED, default=None, deprecated=HINT)
    rdkafka_message_max_num: int | None = param(UNUSED, default=None, deprecated=HINT)
    rdkafka_delivery_handle_poll_timeout: int | None = param(UNUSED, default=None, deprecated=HINT)
    rdkafka_options: dict[str, str] = param(UNUSED, default={}, deprecated=HINT)
    max_enqueue_retries: int | None = param(UNUSED, default=None, deprecated=HINT)
    enqueue_retry_backoff: int | None = param(UNUSED, default=None, deprecated=HINT)


class RdkafkaOptions(LibrdkafkaOptions, KafkaBufferedOptions):
    """Settings of `@type rdkafka`."""


class RdkafkaOutput(KafkaBufferedOutput, type="rdkafka"):
    """The same as kafka_buffered."""

    options_class = RdkafkaOptions


class Rdkafka2Options(LibrdkafkaOptions, Kafka2Options):
    """Settings of `@type rdkafka2`."""

    without_brokers = "warning"

    output_data_type: str | None = param("The payload.", default=None, removed="use <format>")
    output_include_tag: bool | None = param("Write the tag.", default=None, removed="use <inject>")
    output_include_time: bool | None = param("Write the time.", default=None, removed="use <inject>")
    discard_kafka_delivery_failed_regex: re.Pattern[str] | None = param(
        "Discard undelivered events when the error matches, instead of retrying the chunk.",
        default=None,
    )
    use_default_for_unknown_partition_error: bool = param(
        "Accepted for compatibility; an event for a partition that does not exist goes to `@ERROR`.",
        default=False,
        deprecated="remove it: an event for a partition that does not exist goes to @ERROR",
    )
    unrecoverable_error_codes: list[str] = param(
        "Accepted for compatibility; a refused topic's chunk goes to `<secondary>`, a message that is too large to "
        "`@ERROR`, and all others are retried.",
        default=[],
        deprecated="remove it: a refused topic's chunk goes to <secondary>, a message that is too large to @ERROR",
    )
    max_enqueue_bytes_per_second: Size | None = param(UNUSED, default=None, deprecated=HINT)


class Rdkafka2Output(Kafka2Output, type="rdkafka2"):
    """The same as kafka2; it can also discard undelivered events after certain errors."""

    options_class = Rdkafka2Options
    options: Rdkafka2Options

    def give_up(self, chunk: Chunk, error: DeliveryError) -> None:
        """Let the buffer retry, unless the settings exclude this error."""
        pattern = self.options.discard_kafka_delivery_failed_regex
        if pattern is not None and not isinstance(error, PermanentError) and pattern.search(str(error)):
            self.discard(chunk, error)
            return
        super().give_up(chunk, error)
