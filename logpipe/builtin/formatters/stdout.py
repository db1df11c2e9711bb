"""Lines for a person to read: time, tag, record. Settings: fluentd's plugin/formatter_stdout.rb."""

from __future__ import annotations

from collections.abc import Callable

from logpipe import EventBatch, Formatter, Host, Record, Time, param
from logpipe.builtin.formatters.format_options import FormatOptions, on_one_line
from logpipe.builtin.json_text import dump, dump_all, replaced_texts
from logpipe.codec import compile_formatter
from logpipe.ruby import inspect


def _output_type(text: str) -> str:
    if text in {"json", "hash"}:
        return text
    # fluentd accepts any formatter's name
    raise ValueError(f"stdout does not write {text} yet: write json or hash")


class StdoutOptions(FormatOptions):
    """Settings of `<format> @type stdout`."""

    output_type: str = param("How the record is written: `json` or `hash`.", default="json", convert=_output_type)


class StdoutFormatter(Formatter[StdoutOptions], type="stdout"):
    """Writes `2016-06-15 14:13:20.123456789 +0000 TAG: {…}`; times are always in the machine's zone."""

    def __init__(self, options: StdoutOptions, host: Host) -> None:
        super().__init__(options, host)
        self._replaced = replaced_texts(host)
        # compat: formatter_stdout.rb takes the format from the settings, but neither the zone nor the type
        self._time = compile_formatter(options.time_format or "%Y-%m-%d %H:%M:%S.%N %z")

    def format(self, tag: str, time: Time, record: Record) -> bytes:
        """Return one event's line."""
        body = dump(record, self._replaced) if self.options.output_type == "json" else _ruby_hash(record)
        return b"%b %b: %b\n" % (self._time(time).encode(), on_one_line(tag), body)

    def format_batch(self, batch: EventBatch, failed: Callable[[int, Exception], None]) -> list[bytes]:
        """Return each event's line."""
        if self.options.output_type != "json":
            return super().format_batch(batch, failed)
        write, tag = self._time, b" %b: " % on_one_line(batch.tag)
        try:
            heads = [write(time).encode() + tag for time in batch.times]
        except (ValueError, OverflowError):  # a time that cannot be formatted: find it one by one
            return super().format_batch(batch, failed)
        bodies = dump_all(batch.records, failed, newline=b"\n", replaced=self._replaced)
        return [body and head + body for head, body in zip(heads, bodies, strict=True)]


def _ruby_hash(record: Record) -> bytes:
    return inspect(record).encode("utf-8", "replace")
