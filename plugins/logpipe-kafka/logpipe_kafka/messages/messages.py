"""Makes messages from events: topic, partition and key by fluent-plugin-kafka's rules, payload, time and headers.

The rules: a field of the record, or the default where it is nil or false, as with Ruby's `||` (out_kafka.rb,
out_kafka2.rb). The partition is the one in the record; else the partition key determines it, else the message's key,
else any partition may be used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final, NamedTuple

from logpipe import Clock, EventBatch, LogpipeError, Record
from logpipe.codec import dump_record
from logpipe.ruby import RecordAccessor
from logpipe_kafka.messages.batch import Headers, Message, Source
from logpipe_kafka.messages.options import MessageOptions
from logpipe_kafka.messages.packer import Packer
from logpipe_kafka.messages.partitioner import HASHES
from logpipe_kafka.messages.payload import Encode, EncodeEvent, to_bytes, to_text
from logpipe_kafka.messages.topic_queue import TopicQueue

# brokers and consumers convert Kafka's timestamps to dates
_FIRST_TIME: Final = -62_167_219_200 * 1_000_000_000
_TIMES_END: Final = 253_402_300_800 * 1_000_000_000
_MOST_PARTITION: Final = (1 << 31) - 1


class InvalidAddress(LogpipeError):  # noqa: N818 - named after the problem
    """An event has an invalid topic or partition, or a time outside Kafka's range."""


class Field(NamedTuple):
    """A field for a message's topic, key or partition."""

    name: str
    exclude: bool = False
    default: Any = None


@dataclass(frozen=True, kw_only=True)
class MessageSettings:
    """How messages are made.

    Attributes:
        topic: without a default it is the tag.
        key: the message's key.
        partition_key: what is hashed to choose a partition, before the key.
        partition: the partition itself.
        hash: the hash of a key.
        encode: the payload of a record, where it depends on the record only.
        encode_event: the payload of tag, time and record; slower than `encode`, but supports all records.
        prepare: changes a batch's records before they are read.
        use_event_time: whether Kafka's timestamp is the event's time, or that of sending.
        headers: the same for every message.
        headers_from_record: header to field.
        exclude_fields: fields to leave out of the payload.
        record_key: the field to send in place of the whole record.
    """

    topic: Field
    key: Field
    partition_key: Field
    partition: Field
    hash: Callable[[bytes], int]
    encode: Encode | None
    encode_event: EncodeEvent
    prepare: Callable[[EventBatch], None] | None = None
    use_event_time: bool = False
    headers: Mapping[str, str] | None = None
    headers_from_record: Mapping[str, RecordAccessor] | None = None
    exclude_fields: Sequence[RecordAccessor] = ()
    record_key: RecordAccessor | None = None


def message_settings(
    options: MessageOptions, encodings: tuple[Encode | None, EncodeEvent], **others: Any
) -> MessageSettings:
    """Return the settings with the addresses that `options` have; `others` are those that only some outputs have."""
    topic, key, partition_key, partition = options.names
    return MessageSettings(
        topic=Field(topic, options.exclude_topic_key, options.default_topic),
        key=Field(key, options.exclude_message_key, options.default_message_key),
        partition_key=Field(partition_key, options.exclude_partition_key, options.default_partition_key),
        partition=Field(partition, options.exclude_partition, options.default_partition),
        hash=HASHES[options.partitioner_hash_function],
        encode=encodings[0],
        encode_event=encodings[1],
        **others,
    )


class Messages:
    """Makes and packs messages.

    Args:
        settings: the settings of messages.
        queue: returns a topic's queue; raises LogpipeError for an invalid name.
        clock: for the time of sending.
    """

    def __init__(self, settings: MessageSettings, queue: Callable[[str], TopicQueue], clock: Clock) -> None:
        self._queue = queue
        self._clock = clock
        self._prepare = settings.prepare
        self._topic = settings.topic
        self._take_topic = _taker(settings.topic)
        self._take_key = _taker(settings.key)
        self._take_partition_key = _taker(settings.partition_key)
        self._take_partition = _taker(settings.partition)
        self._hash = settings.hash
        self._encode_event = settings.encode_event
        self._excluded = settings.exclude_fields
        self._record_key = settings.record_key
        self._headers: Headers = [(name, _to_bytes(value)) for name, value in (settings.headers or {}).items()]
        self._headers_of = _headers_function(self._headers, settings.headers_from_record or {})
        self._use_event_time = settings.use_event_time
        address = (settings.key, settings.partition_key, settings.partition)
        self._names = [field.name for field in address]
        self._encode: Encode = settings.encode or dump_record
        self._has_short_way = settings.encode is not None and _is_plain(settings, address)
        self.changes_records = bool(settings.prepare or settings.exclude_fields) or any(
            field.exclude for field in (settings.topic, *address)
        )
        """Whether packing changes the given records, at their top level."""

    def prepare(self, batch: EventBatch) -> None:
        """Apply the settings' `prepare`; to be called before anything else."""
        if self._prepare is not None:
            self._prepare(batch)

    def topics(self, batch: EventBatch) -> set[str] | None:
        """Return the topics of a batch's events; None where one of them is not a string."""
        field, default = self._topic.name, self._topic.default or batch.tag
        try:
            named: set[Any] = {record.get(field) for record in batch.records}
        except TypeError:
            return None
        topics = {default if name is None or name is False else name for name in named}
        return topics if all(isinstance(topic, str) for topic in topics) else None

    def pack(self, batch: EventBatch, source: Source, packer: Packer, *, topics: set[str] | None) -> None:
        """Append a message for each event, for the topics that `topics` returned; refuse invalid ones."""
        if topics is None or not self._is_plain(batch):
            self._pack_each(None, batch, source, packer)
        elif len(topics) == 1:
            self._pack_alike(topics.pop(), batch, range(len(batch)), source, packer)
        else:
            for topic, numbers in self._by_topic(batch).items():
                self._pack_alike(topic, batch, numbers, source, packer)

    def pack_for(self, topic: str, batch: EventBatch, source: Source, packer: Packer) -> None:
        """Append a message for each event, all for one topic; refuse invalid ones."""
        if self._is_plain(batch):
            self._pack_alike(topic, batch, range(len(batch)), source, packer)
        else:
            self._pack_each(topic, batch, source, packer)

    def _is_plain(self, batch: EventBatch) -> bool:
        """Return whether the batch's messages differ only in topic and payload."""
        if not self._has_short_way:
            return False
        first, second, third = self._names
        return not [None for record in batch.records if first in record or second in record or third in record]

    def _by_topic(self, batch: EventBatch) -> dict[str, list[int]]:
        """Return the numbers of a batch's events by topic, in order."""
        field, default = self._topic.name, self._topic.default or batch.tag
        groups: dict[str, list[int]] = {}
        for number, record in enumerate(batch.records):
            named = record.get(field)
            topic = default if named is None or named is False else named
            if topic in groups:
                groups[topic].append(number)
            else:
                groups[topic] = [number]
        return groups

    def _pack_alike(
        self, topic: str, batch: EventBatch, numbers: Sequence[int], source: Source, packer: Packer
    ) -> None:
        """Append messages that differ only in their payload."""
        try:
            queue = self._queue(topic)
        except LogpipeError as error:
            for number in numbers:
                source.refuse(number, error)
            return
        numbers = self._with_stamps(batch, numbers, source)
        records = batch.records if len(numbers) == len(batch) else [batch.records[number] for number in numbers]
        if self._topic.exclude:
            for record in records:
                record.pop(self._topic.name, None)
        rows = zip(self._stamps(batch, numbers), map(self._encode, records), strict=False)
        place = 0
        while True:
            place, failure = packer.extend(
                queue, rows, source=source, numbers=numbers, place=place, headers=self._headers
            )
            if failure is None:
                return
            self._pack_odd(queue, batch, numbers[place], source, packer)
            place += 1

    def _pack_odd(self, queue: TopicQueue, batch: EventBatch, number: int, source: Source, packer: Packer) -> None:
        """Append a message for which the fast encoding failed."""
        time, record = batch.times[number], batch.records[number]
        try:
            value = self._encode_event(batch.tag, time, record)
        except MemoryError:
            raise  # not the fault of a record
        except Exception as error:  # noqa: BLE001 - a bad record must not stop its batch, whatever it broke
            source.refuse(number, error)
            return
        stamp = time if self._use_event_time else self._clock.now()
        packer.add(queue, None, Message(stamp // 1_000_000, None, value, self._headers, source, number))

    def _pack_each(self, topic: str | None, batch: EventBatch, source: Source, packer: Packer) -> None:
        """Append messages with topics, keys and partitions of their own."""
        numbers = self._with_stamps(batch, range(len(batch)), source)
        for number, stamp in zip(numbers, self._stamps(batch, numbers), strict=False):
            record = batch.records[number]
            try:
                named = self._take_topic(record)
                queue = self._queue(_topic_name(named, batch.tag) if topic is None else topic)
                partition = _partition_number(self._take_partition(record))
                partition_key = _to_bytes(self._take_partition_key(record))
                key = _to_bytes(self._take_key(record))
                headers = self._headers_of(record)
                for accessor in self._excluded:
                    accessor.delete(record)
                sent = record if self._record_key is None else self._record_key.get(record)
                value = self._encode_event(batch.tag, batch.times[number], sent)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - a bad record must not stop its batch, whatever it broke
                source.refuse(number, error)
                continue
            message = Message(stamp, key, value, headers, source, number)
            hashed = key if partition_key is None else partition_key
            if partition is not None or hashed is None:
                packer.add(queue, partition, message)
            else:
                packer.add_keyed(queue, self._hash(hashed), message)

    def _with_stamps(self, batch: EventBatch, numbers: Sequence[int], source: Source) -> Sequence[int]:
        """Return the numbers of the events whose time is in Kafka's range; refuse the others."""
        if not self._use_event_time or not numbers:
            return numbers
        if min(batch.times) >= _FIRST_TIME and max(batch.times) < _TIMES_END:
            return numbers
        kept: list[int] = []
        for number in numbers:
            time = batch.times[number]
            if _FIRST_TIME <= time < _TIMES_END:
                kept.append(number)
            else:
                message = (
                    f"the event's time, {time // 1_000_000_000} seconds since 1970, has no date in the years 0 to 9999"
                )
                source.refuse(number, InvalidAddress(message))
        return kept

    def _stamps(self, batch: EventBatch, numbers: Sequence[int]) -> Iterable[int]:
        if self._use_event_time:
            return [batch.times[number] // 1_000_000 for number in numbers]
        return repeat(self._clock.now() // 1_000_000)


def _is_plain(settings: MessageSettings, address: Iterable[Field]) -> bool:
    """Return whether messages without key and partition differ only in topic and payload."""
    return (
        not settings.exclude_fields
        and settings.record_key is None
        and not settings.headers_from_record
        and all(field.default is None for field in address)
    )


def _taker(field: Field) -> Callable[[Record], Any]:
    """Return the function that reads a field, or its default; with `exclude` it removes it."""
    name, exclude, default = field

    def take(record: Record) -> Any:
        value = record.pop(name, None)
        return default if value is None or value is False else value

    def look(record: Record) -> Any:
        value = record.get(name)
        return default if value is None or value is False else value

    return take if exclude else look


def _headers_function(fixed: Headers, from_record: Mapping[str, RecordAccessor]) -> Callable[[Record], Headers]:
    if not from_record:
        return lambda _record: fixed
    accessors = [(name, accessor.get) for name, accessor in from_record.items()]

    def headers(record: Record) -> Headers:
        return [*fixed, *((name, _to_bytes(get(record))) for name, get in accessors)]

    return headers


def _topic_name(named: Any, tag: str) -> str:
    if named is None:
        return tag
    if not isinstance(named, str):
        raise InvalidAddress(f"the topic must be a string, and this event names {_shown(named)}")
    return named


def _partition_number(named: Any) -> int | None:
    """Return an event's partition; ruby-kafka accepts the same as Ruby's Integer()."""
    if named is None:
        return None
    number = named
    if isinstance(named, str) and named.isascii() and named.isdigit() and len(named) <= 10:
        number = int(named)
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= _MOST_PARTITION:
        return number
    raise InvalidAddress(f"the partition must be a number, 0 or more, and this event names {_shown(named)}")


def _shown(value: Any) -> str:
    """Return a value for an error message, shortened."""
    text = repr(to_text(value))
    return text if len(text) < 60 else f"{text[:50]}… ({len(text)} characters)"


def _to_bytes(value: Any) -> bytes | None:
    """Return the bytes of a key or header; None stays None."""
    return None if value is None else to_bytes(value)
