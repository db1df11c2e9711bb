"""The common part of kafka and kafka_buffered: the payload from flat parameters, and brokers from ZooKeeper."""

from __future__ import annotations

from collections.abc import Callable

from logpipe import EventBatch, Host
from logpipe.codec import compile_formatter
from logpipe_kafka.cluster.brokers import Brokers, FixedBrokers, ZooKeeperBrokers
from logpipe_kafka.messages import payload
from logpipe_kafka.messages.messages import MessageSettings, message_settings
from logpipe_kafka.messages.options import FlatOptions


def flat_messages(options: FlatOptions, host: Host, *, use_event_time: bool = False) -> MessageSettings:
    """Return the settings of messages."""
    included = (("tag", options.output_include_tag), ("time", options.output_include_time))
    encodings = payload.encodings(
        options.output_data_type,
        options.format,
        host,
        limit=options.max_send_limit_bytes,
        leading=[name for name, wanted in included if wanted],
    )
    return message_settings(options, encodings, prepare=_including(options), use_event_time=use_event_time)


def find_brokers(options: FlatOptions, host: Host) -> Brokers:
    """Return the brokers, from ZooKeeper if it is configured, else from the list."""
    if options.zookeeper:
        return ZooKeeperBrokers(options.zookeeper, options.zookeeper_path, options.protocol, host)
    # compat: the message of out_kafka.rb
    host.log.info("brokers has been set directly: %s", options.brokers)
    return FixedBrokers(options.brokers, host)


def _including(options: FlatOptions) -> Callable[[EventBatch], None] | None:
    """Return the function that writes tag and time to a batch's records, None where neither is configured.

    compat: out_kafka.rb does so before it reads the topic, and replaces existing fields.
    """
    if not (options.output_include_time or options.output_include_tag):
        return None
    form = None if options.time_format is None else compile_formatter(options.time_format)

    def include(batch: EventBatch) -> None:
        if options.output_include_time:
            shown = [time // 1_000_000_000 for time in batch.times] if form is None else map(form, batch.times)
            for time, record in zip(shown, batch.records, strict=True):
                record["time"] = time
        if options.output_include_tag:
            for record in batch.records:
                record["tag"] = batch.tag

    return include
