"""Makes events of messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from aiokafka import ConsumerRecord

from logpipe import EventBatch, InputHost, ParseError, Receipt, Record, Time
from logpipe.codec import MessageParser, by_tag, compile_typed_parser, text_or_bytes
from logpipe.ruby import to_s
from logpipe_kafka.consumer.options import ConsumerOptions, TaggedOptions

_MILLISECOND: Final = 1_000_000


class Events:
    """Makes batches of one partition's messages; what cannot be read goes to `@ERROR`.

    Args:
        options: of the input.
        host: of the input.
        add_headers: whether a message's headers are fields of its record.
        add_offset: whether topic, partition and offset are.
    """

    def __init__(
        self, options: ConsumerOptions, host: InputHost, *, add_headers: bool = False, add_offset: bool = False
    ) -> None:
        self._host = host
        self._parser = MessageParser(options.parse, host)
        self._format = options.parse.type
        self._text_key = options.message_key if self._format == "text" else None
        self._before = f"{options.add_prefix}." if options.add_prefix else ""
        self._behind = f".{options.add_suffix}" if options.add_suffix else ""
        by_record = isinstance(options, TaggedOptions) and options.tag_source == "record"
        self._tag_key = options.record_tag_key if by_record and isinstance(options, TaggedOptions) else None
        self._time = options.time_from
        self._time_key = options.record_time_key
        self._read_time = _time_reader(options.time_format)
        self._key = options.kafka_message_key
        self._add_headers = add_headers
        self._add_offset = add_offset
        self._unreadable = host.counter("unreadable_messages", "Messages of which no event could be made.")

    def batches(
        self, messages: Sequence[ConsumerRecord], receipt: Receipt, *, is_first: bool = True
    ) -> list[EventBatch]:
        """Return the events of messages of one partition, a batch for each tag.

        Args:
            messages: in order.
            receipt: for all of them.
            is_first: whether what is wrong with them is to be handed to `@ERROR`.
        """
        topic_tag = f"{self._before}{messages[0].topic}{self._behind}"
        now = self._host.clock.now()
        values = [message.value for message in messages]
        without = [number for number, value in enumerate(values) if value is None]
        for number in without:
            values[number] = b""
        parsed = self._parser.parse(values, now)
        times, records, numbers = parsed.times, parsed.records, parsed.numbers
        problems: dict[int, Exception | None] = dict.fromkeys(parsed.unmatched)
        if without:
            # compat: a message without a value is nil to Ruby's parsers, which refuse it, and a field to `text`
            if self._text_key is None:
                problems |= dict.fromkeys(without, ParseError("it has no value"))
                empty = {*without}
                kept = [place for place, number in enumerate(numbers) if number not in empty]
                records, numbers = [records[place] for place in kept], [numbers[place] for place in kept]
            else:
                for number in without:
                    records[number][self._text_key] = None
        times = [now] * len(records)
        tags: list[str | None] | None = None
        if self._tag_key is not None:
            tags = self._tags(records, numbers, problems)
        if self._time == "kafka":
            stamps = [each.timestamp * _MILLISECOND if each.timestamp >= 0 else now for each in messages]
            times = [stamps[number] for number in numbers]
        elif self._time == "record":
            times = self._times(records, numbers, problems)
        self._add_fields(records, numbers, messages)
        if problems and is_first:
            self._refuse(messages, problems, receipt, tag=topic_tag, now=now)
        if tags is None and not problems:
            batches = [EventBatch(topic_tag, times, records)] if records else []
        else:
            tags = tags if tags is not None else [topic_tag] * len(records)
            if problems:
                tags = [None if number in problems else tag for number, tag in zip(numbers, tags, strict=True)]
            batches = by_tag(tags, times, records)
        for batch in batches:
            batch.receipt = receipt
        return batches

    def _tags(
        self, records: list[Record], numbers: Sequence[int], problems: dict[int, Exception | None]
    ) -> list[str | None]:
        key, before, behind = self._tag_key, self._before, self._behind
        tags: list[str | None] = []
        for record, number in zip(records, numbers, strict=True):
            tag = record.get(key)  # type: ignore[arg-type]  # it is set
            if isinstance(tag, str) and tag:
                tags.append(f"{before}{tag}{behind}")
            else:
                problems[number] = ParseError(f"its field {key} is no tag")
                tags.append(None)
        return tags

    def _times(
        self, records: list[Record], numbers: Sequence[int], problems: dict[int, Exception | None]
    ) -> list[Time]:
        key, read = self._time_key, self._read_time
        times: list[Time] = []
        for record, number in zip(records, numbers, strict=True):
            try:
                times.append(read(record.get(key)))
            except ParseError as error:
                problems[number] = ParseError(f"its field {key} is no time: {error}")
                times.append(0)
        return times

    def _add_fields(self, records: list[Record], numbers: Sequence[int], messages: Sequence[ConsumerRecord]) -> None:
        """Add what a message has beside its value, replacing fields of the same names, as the originals do."""
        if self._add_offset:
            for record, number in zip(records, numbers, strict=True):
                message = messages[number]
                record["kafka_topic"] = message.topic
                record["kafka_partition"] = message.partition
                record["kafka_offset"] = message.offset
        if self._key is not None:
            for record, number in zip(records, numbers, strict=True):
                record[self._key] = _shown(messages[number].key)
        if self._add_headers:
            for record, number in zip(records, numbers, strict=True):
                for name, value in messages[number].headers:
                    record[name] = _shown(value)

    def _refuse(
        self,
        messages: Sequence[ConsumerRecord],
        problems: dict[int, Exception | None],
        receipt: Receipt,
        *,
        tag: str,
        now: Time,
    ) -> None:
        self._unreadable.add(len(problems))
        for number in sorted(problems):
            message = messages[number]
            why = problems[number] or f"it is not in the format {self._format}"
            # compat: the message of in_kafka_group.rb
            error = ParseError(f"parser error in {message.topic}/{message.partition}, offset {message.offset}: {why}")
            record = {
                "message": _shown(message.value),
                "kafka_topic": message.topic,
                "kafka_partition": message.partition,
                "kafka_offset": message.offset,
            }
            self._host.emit_error(tag, now, record, error, receipt=receipt)


def _shown(data: bytes | None) -> Any:
    return None if data is None else text_or_bytes(data)


def _time_reader(time_format: str | None) -> Callable[[Any], Time]:
    if time_format is None:
        return compile_typed_parser("float", None).one
    read = compile_typed_parser("string", time_format).one
    # compat: in_kafka_group.rb reads a number's text
    return lambda value: read(value if isinstance(value, (str, bytes)) else to_s(value))
