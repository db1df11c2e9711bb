"""`@type kafka2`: sends messages to Kafka from a buffer whose chunks have one topic each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, Final, Literal

from logpipe import (
    Chunk,
    DeliveryError,
    EventBatch,
    InvalidSetting,
    OutputHost,
    PermanentError,
    PluginConf,
    param,
    plugin_section,
    section,
)
from logpipe.codec import InjectOptions, compile_inject
from logpipe.ruby import ExpressionError, RecordAccessor, to_s
from logpipe_kafka.cluster.brokers import FixedBrokers
from logpipe_kafka.cluster_options import NOT_USED, listed, unset_if_empty
from logpipe_kafka.delivery.buffered import BufferedOutput
from logpipe_kafka.messages import payload
from logpipe_kafka.messages.messages import MessageSettings, message_settings
from logpipe_kafka.messages.options import BufferedOptions

_NO_IAM: Final = "use SCRAM or TLS: logpipe does not speak AWS's IAM"


def _paths(text: str) -> list[RecordAccessor]:
    return [_path(item) for item in listed(text)]


def _optional_path(text: str) -> RecordAccessor | None:
    return _path(text) if text else None


def _path(text: str) -> RecordAccessor:
    try:
        return RecordAccessor(text)
    except ExpressionError as problem:
        raise ValueError(f"{problem}: write a field's name, or $.a.b") from None


class Kafka2Options(BufferedOptions):
    """Settings of `@type kafka2`."""

    # compat: of all outputs only out_kafka2.rb refuses to start without brokers
    without_brokers: ClassVar[Literal["error", "warning"]] = "error"

    client_id: str = param("Name of this client for the brokers.", default="fluentd")
    topic: str | None = param(
        "Topic, with placeholders such as ${tag} or ${field} for chunk keys; overrides `topic_key`.",
        default=None,
        convert=unset_if_empty,
        placeholders=True,
    )
    topic_key: str = param("Chunk key with the topic.", default="topic")
    record_key: RecordAccessor | None = param(
        "Field to send in place of the whole record, `$.a.b`.", default=None, convert=_optional_path
    )
    exclude_fields: list[RecordAccessor] = param("Fields to leave out, `$.a,$.b.c`.", default=[], convert=_paths)
    headers: dict[str, str] = param("Headers of every message, `name:value,name:value`.", default={})
    headers_from_record: dict[str, str] = param("Headers with the field of their value, `name:$.a.b`.", default={})
    use_default_for_unknown_topic: bool = param(
        "Send events for a topic that does not exist to `default_topic`.", default=False
    )
    ignore_exceptions: list[str] = param(
        "Errors after which a chunk is not retried, by their names in ruby-kafka (Kafka::MessageSizeTooLarge).",
        default=[],
        convert=listed,
    )
    exception_backup: bool = param(
        "Whether such a chunk goes to `<secondary>` or the backup folder; else it is discarded.", default=True
    )
    share_producer: bool = param(
        "Accepted for compatibility; an output has one producer, whatever the number of flush threads.", default=False
    )
    connect_timeout: int | None = param(
        "Accepted for compatibility; connections have 30 s.", default=None, deprecated=NOT_USED
    )
    socket_timeout: int | None = param(
        "Accepted for compatibility; answers have 30 s.", default=None, deprecated=NOT_USED
    )
    resolve_seed_brokers: bool = param("Accepted for compatibility; each address of a host is tried.", default=False)
    sasl_aws_msk_iam_access_key_id: str | None = param(
        "Key for IAM at MSK.", default=None, secret=True, removed=_NO_IAM
    )
    sasl_aws_msk_iam_secret_key_id: str | None = param(
        "Key for IAM at MSK.", default=None, secret=True, removed=_NO_IAM
    )
    sasl_aws_msk_iam_aws_region: str | None = param("Region for IAM at MSK.", default=None, removed=_NO_IAM)
    format: PluginConf = plugin_section("The payload.", kind="formatter", default_type="json")
    inject: InjectOptions | None = section("Fields to add.")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield settings that contradict each other."""
        yield from super().check()
        if self.use_default_for_unknown_topic and self.default_topic is None:
            message = "default_topic must be set when use_default_for_unknown_topic is true"
            yield InvalidSetting(message, param="use_default_for_unknown_topic")
        for name, text in self.headers_from_record.items():
            try:
                _path(text)
            except ValueError as problem:
                yield InvalidSetting(f"header {name}: {problem}", param="headers_from_record")


class Kafka2Output(BufferedOutput[Kafka2Options], type="kafka2"):
    """Sends the events of a chunk to its topic: the template, else the chunk key, else a default, else the tag."""

    buffer_argument = "topic"

    def __init__(self, options: Kafka2Options, host: OutputHost) -> None:
        # compat: the message of out_kafka2.rb
        host.log.info("brokers has been set: %s", options.brokers)
        fallback = options.default_topic if options.use_default_for_unknown_topic else None
        super().__init__(
            options,
            host,
            brokers=FixedBrokers(options.brokers, host),
            messages=_messages(options, host),
            fallback=fallback or "",
        )
        self._ignored = frozenset(options.ignore_exceptions)
        self._warn_about_topics()

    def topic_of(self, chunk: Chunk) -> str:
        """Return the topic of a chunk.

        Raises:
            PermanentError: there is none.
        """
        options = self.options
        if options.topic is not None:
            return self.host.expand(options.topic, chunk)
        named = dict(chunk.key.variables).get(options.topic_key)
        topic = named if named is not None and named is not False else options.default_topic or chunk.key.tag
        if topic is None:
            raise PermanentError("no topic: set default_topic, or add tag to the chunk keys, <buffer topic,tag>")
        if not isinstance(topic, str):
            raise PermanentError(f"the topic must be a string, and {options.topic_key} is {to_s(topic)[:60]}")
        return topic

    def give_up(self, chunk: Chunk, error: DeliveryError) -> None:
        """Let the buffer retry, unless the settings exclude this error."""
        if self.options.discard_kafka_delivery_failed:
            self.discard(chunk, error)
            return
        if self._ignored.isdisjoint(ruby_names(error)):
            raise error
        if self.options.exception_backup:
            raise PermanentError(str(error)) from error
        self.discard(chunk, error)

    def _warn_about_topics(self) -> None:
        # compat: the two messages of out_kafka2.rb
        keys, topic_key = self.host.chunk_keys, self.options.topic_key
        if self.options.default_topic is not None:
            if "tag" in keys:
                self.host.log.warning("default_topic is set. Fluentd's event tag is not used for topic")
        elif topic_key in keys and "tag" not in keys:
            self.host.log.warning(
                "Use '%s' field of event record for topic but no fallback. Recommend to set default_topic or set 'tag' "
                "in buffer chunk keys like <buffer %s,tag>",
                topic_key,
                topic_key,
            )
        if self.options.topic is None and topic_key not in keys:
            self.host.log.warning(
                "topic_key %r is no chunk key, so it has no effect: write <buffer %s>",
                topic_key,
                topic_key,
            )


def _messages(options: Kafka2Options, host: OutputHost) -> MessageSettings:
    return message_settings(
        options,
        # compat: out_kafka2.rb writes json and ltsv itself, without a newline and other settings of <format>
        payload.encodings(options.format.type, options.format, host, limit=options.max_send_limit_bytes),
        prepare=_injecting(options.inject, host),
        use_event_time=options.use_event_time,
        headers=options.headers,
        headers_from_record={name: RecordAccessor(path) for name, path in options.headers_from_record.items()},
        exclude_fields=options.exclude_fields,
        record_key=options.record_key,
    )


def _injecting(options: InjectOptions | None, host: OutputHost) -> Callable[[EventBatch], None] | None:
    """Return the function that adds the fields of `<inject>` to a batch's records, None without that section."""
    if options is None:
        return None
    inject = compile_inject(options, host)

    def prepare(batch: EventBatch) -> None:
        batch.records = inject(batch)

    return prepare


def ruby_names(error: BaseException) -> set[str]:
    """Return ruby-kafka's names for the cause of a failed delivery."""
    cause = type(error.__cause__ or error).__name__
    plain = cause.removeprefix("Kafka").removesuffix("Exception")
    return {"Kafka::DeliveryFailed", f"Kafka::{plain}", f"Kafka::{plain.removesuffix('Error')}"}
