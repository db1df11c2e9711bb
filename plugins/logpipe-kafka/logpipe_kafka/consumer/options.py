"""Settings of the inputs: in_kafka.rb, in_kafka_group.rb, in_rdkafka_group.rb."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from logpipe import InvalidSetting, PluginConf, Seconds, Size, param, plugin_section
from logpipe.ruby import ExpressionError, compile_regexp
from logpipe.tree import Element
from logpipe_kafka.cluster_options import NOT_USED, ConnectionOptions, listed, optional_integer, unset_if_empty

FOR_EVER: Final = "it has no effect here: brokers are tried for ever, with pauses of up to retry_wait_seconds"
_RECORD_TIME: Final = "use time_source record"
_NO_IAM: Final = "use SCRAM or TLS: logpipe does not speak AWS's IAM"
_UNTIMED: Final = frozenset({"", "json", "ltsv", "msgpack"})


def _untimed(section: Element) -> Mapping[str, str | None]:
    """Return the defaults of `<parse>`.

    compat: the inputs read these formats without a parser of fluentd's, and leave every field where it is.
    """
    return {"time_key": None} if (section.type or "") in _UNTIMED else {}


class ConsumerOptions(ConnectionOptions):
    """How events are made of messages."""

    add_prefix: str | None = param("What stands before the tag, with a dot.", default=None, convert=unset_if_empty)
    add_suffix: str | None = param("What stands behind the tag, with a dot.", default=None, convert=unset_if_empty)
    message_key: str = param("Field for the whole message, with the format `text`.", default="message")
    kafka_message_key: str | None = param("Field for the message's key.", default=None, convert=unset_if_empty)
    time_source: Literal["now", "kafka", "record"] = param(
        "Where an event's time comes from: `now`, the message's timestamp (`kafka`), or the field `record_time_key`.",
        default="now",
    )
    use_record_time: bool = param("The same as `time_source record`.", default=False, deprecated=_RECORD_TIME)
    record_time_key: str = param("Field with the time; it stays in the record.", default="time")
    time_format: str | None = param(
        "Format of that field, as strptime reads it; unset: seconds since the epoch.",
        default=None,
        convert=unset_if_empty,
    )
    parse: PluginConf = plugin_section(
        "How a message is read: json, text, ltsv, msgpack or another parser, of which the time is not used. A "
        "message that it does not match goes to `@ERROR`.",
        kind="parser",
        default_type="json",
        defaults=_untimed,
    )

    @property
    def time_from(self) -> Literal["now", "kafka", "record"]:
        """Where the time comes from."""
        return "record" if self.use_record_time else self.time_source


class TaggedOptions(ConsumerOptions):
    """Where the tag comes from, and how much is fetched."""

    tag_source: Literal["topic", "record"] = param(
        "Where the tag comes from: the topic's name, or the field `record_tag_key`.", default="topic"
    )
    record_tag_key: str = param("Field with the tag; it stays in the record.", default="tag")
    max_bytes: Size | None = param("Most bytes of a partition in one answer; unset: 1 MiB.", default=None)
    max_wait_time: Seconds | None = param("How long a broker waits for messages; unset: 0.5 s.", default=None)
    max_wait_ms: int | None = param(
        "The same in milliseconds.", default=None, deprecated="use max_wait_time, in seconds", convert=optional_integer
    )
    min_bytes: Size | None = param("Fewest bytes that a broker answers with before that; unset: 1.", default=None)

    @property
    def fetching(self) -> dict[str, Any]:
        """The consumer's arguments for it."""
        found: dict[str, Any] = {}
        if self.max_bytes:
            found["max_partition_fetch_bytes"] = int(self.max_bytes)
        if self.max_wait_ms is not None:
            found["fetch_max_wait_ms"] = self.max_wait_ms
        elif self.max_wait_time is not None:
            found["fetch_max_wait_ms"] = round(self.max_wait_time * 1000)
        if self.min_bytes:
            found["fetch_min_bytes"] = int(self.min_bytes)
        return found


class GroupOptions(ConsumerOptions):
    """What both inputs of a consumer group have."""

    topics: str = param("Topics, `a,b`, or a regular expression between slashes for their names.")
    add_headers: bool = param("Add the message's headers to the record.", default=False)
    retry_emit_limit: int | None = param(
        "After how many attempts, a second apart, events that no output takes are read again, in a new session with "
        "the brokers; unset: they are tried for ever.",
        default=None,
        convert=optional_integer,
    )
    retry_wait_seconds: int = param(
        "The longest pause before brokers that cannot be reached are tried again.", default=30
    )
    disable_retry_limit: bool = param("Accepted for compatibility.", default=False, no_effect=FOR_EVER)
    retry_limit: int = param("Accepted for compatibility.", default=10, no_effect=FOR_EVER)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield topics that cannot be subscribed to."""
        yield from super().check()
        try:
            if not any(self.subscription.values()):
                yield InvalidSetting("topics is empty: write a topic's name", param="topics")
        except (re.error, ExpressionError, ValueError) as problem:
            yield InvalidSetting(f"topics: {problem}", param="topics")
        if self.retry_wait_seconds < 1:
            yield InvalidSetting("retry_wait_seconds must be 1 or more", param="retry_wait_seconds")

    @property
    def subscription(self) -> dict[str, Any]:
        """The arguments of the consumer's `subscribe`: `topics`, or a `pattern` of all that are written."""
        written = self.topics.strip()
        # compat: only in_rdkafka_group.rb takes the commas in an expression for a part of it
        items = [written] if _is_pattern(written) else listed(written)
        if not any(map(_is_pattern, items)):
            return {"topics": items}
        return {
            "pattern": "|".join(_expression(each) if _is_pattern(each) else rf"{re.escape(each)}\Z" for each in items)
        }


def _is_pattern(topic: str) -> bool:
    return len(topic) > 2 and topic.startswith("/") and topic.endswith("/")


def _expression(topic: str) -> str:
    # aiokafka matches at the beginning of a name, Ruby anywhere in it
    return rf"(?s:.*?)(?:{compile_regexp(topic[1:-1]).pattern})"


class KafkaGroupOptions(TaggedOptions, GroupOptions):
    """Settings of `@type kafka_group`."""

    consumer_group: str = param("Name of the consumer group: its members share the partitions.")
    start_from_beginning: bool = param(
        "Where a group that has committed nothing begins: at the oldest message, or at those that come from now on.",
        default=True,
    )
    session_timeout: Seconds | None = param(
        "After what silence the brokers give the partitions of a process to others; unset: 30 s.", default=None
    )
    offset_commit_interval: Seconds | None = param(
        "How often offsets are committed, those before which nothing is owed; unset: each second.", default=None
    )
    offset_commit_threshold: int | None = param(
        "Commit as soon as so many messages are past a kill -9; unset or 0: only at the interval.",
        default=None,
        convert=optional_integer,
    )
    fetcher_max_queue_size: int | None = param(
        "How many answers of the brokers a partition may have on their way before it waits; unset: 100.",
        default=None,
        convert=optional_integer,
    )
    refresh_topic_interval: Seconds | None = param(
        "How often new topics and partitions are looked for; unset or 0: each 5 minutes.", default=None
    )
    connect_timeout: int | None = param(
        "Accepted for compatibility; connections have 40 s.", default=None, deprecated=NOT_USED
    )
    socket_timeout: int | None = param(
        "Accepted for compatibility; answers have 40 s.", default=None, deprecated=NOT_USED
    )
    sasl_aws_msk_iam_access_key_id: str | None = param(
        "Key for IAM at MSK.", default=None, secret=True, removed=_NO_IAM
    )
    sasl_aws_msk_iam_secret_key_id: str | None = param(
        "Key for IAM at MSK.", default=None, secret=True, removed=_NO_IAM
    )
    sasl_aws_msk_iam_aws_region: str | None = param("Region for IAM at MSK.", default=None, removed=_NO_IAM)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield numbers that are out of range."""
        yield from super().check()
        for name in ("session_timeout", "offset_commit_interval", "fetcher_max_queue_size"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                yield InvalidSetting(f"{name} must be more than 0: leave it out for the default", param=name)
