"""The settings that `<format>` sections share: fluentd's plugin/formatter.rb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, Literal, TypeVar

from logpipe.config.declare import param
from logpipe.config.time_options import TimeOptions
from logpipe.event import EventBatch, Record, Time
from logpipe.plugin import Formatter, Host
from logpipe.record_json import dump_record, dump_records, replaced_texts
from logpipe.time_format import TimeType

_BREAKS: Final = {
    **{place: f"\\x{place:02x}" for place in (*range(32), *range(127, 160))},
    0x2028: "\\u2028",
    0x2029: "\\u2029",
    **{place: f"\\u{place:04x}" for place in (*range(0xD800, 0xDC80), *range(0xDD00, 0xE000))},
}


def on_one_line(tag: str) -> bytes:
    """Return a tag for a line of output, with newlines escaped: a tag made of a file's name may contain some.

    Bytes of a name that are not UTF-8 are kept; a lone surrogate, which a field may contain, is escaped.
    """
    return (tag if tag.isprintable() else tag.translate(_BREAKS)).encode("utf-8", "surrogateescape")


class FormatOptions(TimeOptions):
    """How times are written, by formatters that write them."""

    @property
    def effective_time_type(self) -> TimeType:
        """The `time_type` in force."""
        return self.time_type or "string"


class LineOptions(FormatOptions):
    """How lines end, too, for formatters that write one an event."""

    newline: Literal["lf", "crlf"] = param("The end of a line.", default="lf")

    @property
    def line_end(self) -> str:
        """The characters that end a line."""
        return "\n" if self.newline == "lf" else "\r\n"


O = TypeVar("O", bound=FormatOptions)  # noqa: E741 - the one letter that reads as "options"


class LineFormatter(Formatter[O], Generic[O]):
    """Writes a line for each event: its time, its tag, its record as JSON."""

    def __init__(self, options: O, host: Host, write_time: Callable[[Time], str], end: bytes) -> None:
        super().__init__(options, host)
        self._replaced = replaced_texts(host)
        self._write_time = write_time
        self._end = end

    def _tag(self, tag: str) -> bytes:
        """Return what stands between time and record."""
        raise NotImplementedError

    def format(self, tag: str, time: Time, record: Record) -> bytes:
        """Return one event's line."""
        return self._write_time(time).encode() + self._tag(tag) + dump_record(record, self._replaced) + self._end

    def format_batch(self, batch: EventBatch, failed: Callable[[int, Exception], None]) -> list[bytes]:
        """Return each event's line."""
        write, tag = self._write_time, self._tag(batch.tag)
        try:
            heads = [write(time).encode() + tag for time in batch.times]
        except (ValueError, OverflowError):  # a time that cannot be formatted: find it one by one
            return super().format_batch(batch, failed)
        bodies = dump_records(batch.records, failed, newline=self._end, replaced=self._replaced)
        return [body and head + body for head, body in zip(heads, bodies, strict=True)]
