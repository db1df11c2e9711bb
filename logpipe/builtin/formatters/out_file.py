"""Time, tag and JSON in one line, as out_file writes them. Settings: fluentd's plugin/formatter_out_file.rb."""

from __future__ import annotations

from collections.abc import Callable

from logpipe import EventBatch, Formatter, Host, Record, Time, param
from logpipe.builtin.formatters.format_options import FormatOptions, on_one_line
from logpipe.builtin.json_text import dump, dump_all, replaced_texts
from logpipe.codec import compile_typed_formatter


def _delimiter(text: str) -> str:
    # compat: formatter_out_file.rb searches the text for two words, and uses a tab for all others
    if "SPACE" in text.upper():
        return " "
    return "," if "COMMA" in text.upper() else "\t"


class OutFileOptions(FormatOptions):
    """Settings of `<format> @type out_file`."""

    output_time: bool = param("Begin with the time.", default=True)
    output_tag: bool = param("Write the tag.", default=True)
    delimiter: str = param("The separator of the parts: SPACE, COMMA, or else a tab.", default="\t", convert=_delimiter)


class OutFileFormatter(Formatter[OutFileOptions], type="out_file"):
    """Writes `TIME<tab>TAG<tab>JSON`; without a `time_format` the time is ISO 8601."""

    def __init__(self, options: OutFileOptions, host: Host) -> None:
        super().__init__(options, host)
        self._replaced = replaced_texts(host)
        self._time = _time_writer(options)
        self._end = options.line_end.encode()

    def format(self, tag: str, time: Time, record: Record) -> bytes:
        """Return one event's line."""
        return self._time(time).encode() + self._tag(tag) + dump(record, self._replaced) + self._end

    def format_batch(self, batch: EventBatch, failed: Callable[[int, Exception], None]) -> list[bytes]:
        """Return each event's line."""
        write, tag = self._time, self._tag(batch.tag)
        try:
            heads = [write(time).encode() + tag for time in batch.times]
        except (ValueError, OverflowError):  # a time that cannot be formatted: find it one by one
            return super().format_batch(batch, failed)
        bodies = dump_all(batch.records, failed, newline=self._end, replaced=self._replaced)
        return [body and head + body for head, body in zip(heads, bodies, strict=True)]

    def _tag(self, tag: str) -> bytes:
        return on_one_line(tag) + self.options.delimiter.encode() if self.options.output_tag else b""


def _time_writer(options: OutFileOptions) -> Callable[[Time], str]:
    if not options.output_time:
        return lambda _: ""
    write = compile_typed_formatter(options.effective_time_type, options.time_format, zone=options.zone)
    delimiter = options.delimiter
    return lambda time: write(time) + delimiter
