"""Lines for a person to read: time, tag, record. Settings: fluentd's plugin/formatter_stdout.rb."""

from __future__ import annotations

from collections.abc import Callable

from logpipe import EventBatch, Formatter, Host, Record, Time, param
from logpipe.builtin.formatters.hash import ruby_hash
from logpipe.codec import FormatOptions, LineFormatter, compile_formatter, on_one_line


def _output_type(text: str) -> str:
    if text in {"json", "hash"}:
        return text
    # fluentd accepts any formatter's name
    raise ValueError(f"stdout does not write {text} yet: write json or hash")


class StdoutOptions(FormatOptions):
    """Settings of `<format> @type stdout`."""

    output_type: str = param("How the record is written: `json` or `hash`.", default="json", convert=_output_type)


class StdoutFormatter(LineFormatter[StdoutOptions], type="stdout"):
    """Writes `2016-06-15 14:13:20.123456789 +0000 TAG: {…}`; times are always in the machine's zone."""

    def __init__(self, options: StdoutOptions, host: Host) -> None:
        # compat: formatter_stdout.rb takes the format from the settings, but neither the zone nor the type
        write_time = compile_formatter(options.time_format or "%Y-%m-%d %H:%M:%S.%N %z")
        super().__init__(options, host, write_time, b"\n")

    def _tag(self, tag: str) -> bytes:
        return b" %b: " % on_one_line(tag)

    def format(self, tag: str, time: Time, record: Record) -> bytes:
        """Return one event's line."""
        if self.options.output_type == "json":
            return super().format(tag, time, record)
        body = ruby_hash(record)
        return self._write_time(time).encode() + self._tag(tag) + body + self._end

    def format_batch(self, batch: EventBatch, failed: Callable[[int, Exception], None]) -> list[bytes]:
        """Return each event's line."""
        if self.options.output_type == "json":
            return super().format_batch(batch, failed)
        return Formatter.format_batch(self, batch, failed)
