"""What `tcp` and `udp` do with their messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from logpipe import EventBatch, InputHost, InvalidSetting, PluginConf, Record, Time, failure_of
from logpipe.builtin.message_inputs.options import MessageOptions
from logpipe.builtin.message_inputs.plugin import MessageInput
from logpipe.builtin.message_inputs.receiving import Fields
from logpipe.codec import ExtractOptions, by_tag, compile_extract_tag, readable

O = TypeVar("O", bound=MessageOptions)  # noqa: E741 - the one letter that reads as "options"

_NOT_MATCHED: Final = "pattern not matched"


class PlainInput(MessageInput[O]):
    """Emits what the parser makes, under the tag of its settings, or one that stands in the record."""

    def __init__(self, options: O, host: InputHost, parse: PluginConf, extract: ExtractOptions | None) -> None:
        super().__init__(options, host, parse)
        self._tag_of = compile_extract_tag(extract)

    def batches(
        self, messages: list[bytes], fields: Fields | Sequence[Fields], now: Time, *, is_first: bool
    ) -> list[EventBatch]:
        """Return the events of messages."""
        times, records, numbers, unmatched = self.parser.parse(messages, now)
        if unmatched and is_first:
            self.complaints.unmatched(_NOT_MATCHED, [messages[number] for number in unmatched])
        tags = self._tag_of
        # the tag is taken before what the sender is called could stand in its place
        found = None if tags is None else [self._tag(tags, record, is_first=is_first) for record in records]
        if isinstance(fields, dict):
            if fields:
                for record in records:
                    record.update(fields)
        else:
            for record, number in zip(records, numbers, strict=True):
                record.update(fields[number])
        if found is None:
            return [EventBatch(self.options.tag, times, records)] if records else []
        return by_tag(found, times, records)

    def _tag(self, tag_of: Callable[[Record], str | None], record: Record, *, is_first: bool) -> str | None:
        """Return the tag of a record; None for one whose tag cannot be told, which is an error event."""
        try:
            tag = tag_of(record)
        except BaseException as raised:
            error = failure_of(raised)
            if error is None or isinstance(error, MemoryError):
                raise
            if is_first:
                self.host.emit_error(self.options.tag, self.host.clock.now(), record, error)
            return None
        return self.options.tag if tag is None else readable(tag)


def check_extract(extract: ExtractOptions | None) -> Iterator[InvalidSetting]:
    """Yield what does nothing, as in fluentd."""
    if extract is not None and extract.time_key is not None:
        # compat: in_tcp.rb and in_udp.rb look into the record only for an event without a time, which they drop before
        message = "time_key of <extract> does nothing here, as in fluentd: write time_key into <parse>"
        yield InvalidSetting(message, severity="warning")
