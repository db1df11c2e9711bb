"""Lines for a person to read: time, tag, record. Settings: fluentd's plugin/formatter_stdout.rb."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

from logpipe import EventBatch, Host, InvalidSetting, Record, Time, param
from logpipe.codec import FormatOptions, LineFormatter, compile_formatter, on_one_line


class StdoutOptions(FormatOptions):
    """Settings of `<format> @type stdout`; those of the `output_type` stand beside them."""

    _names: ClassVar = ("output_type", "formatter")

    output_type: str = param(
        "How the record is written: `json`, or any other formatter's type, whose settings stand in the same section.",
        default="json",
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield that there is nothing that would write the record."""
        if self.output_type == "stdout":
            yield InvalidSetting("output_type stdout would never come to the record: write json", param="output_type")


class StdoutFormatter(LineFormatter[StdoutOptions], type="stdout"):
    """Writes `2016-06-15 14:13:20.123456789 +0000 TAG: {…}`; times are always in the machine's zone."""

    def __init__(self, options: StdoutOptions, host: Host) -> None:
        # compat: formatter_stdout.rb takes the format from the settings, but neither the zone nor the type
        write_time = compile_formatter(options.time_format or "%Y-%m-%d %H:%M:%S.%N %z")
        super().__init__(options, host, write_time, b"\n")
        named = options.named
        self._other = host.formatter(named) if named is not None and named.type != "json" else None

    def _tag(self, tag: str) -> bytes:
        return b" %b: " % on_one_line(tag)

    def format(self, tag: str, time: Time, record: Record) -> bytes:
        """Return one event's line."""
        if self._other is None:
            return super().format(tag, time, record)
        return self._line(tag, time, self._other.format(tag, time, record))

    def format_batch(self, batch: EventBatch, failed: Callable[[int, Exception], None]) -> list[bytes]:
        """Return each event's line."""
        if self._other is None:
            return super().format_batch(batch, failed)
        bad: set[int] = set()

        def is_bad(index: int, error: Exception) -> None:
            bad.add(index)
            failed(index, error)

        bodies = self._other.format_batch(batch, is_bad)
        return [
            b"" if index in bad else self._line(batch.tag, time, body)
            for index, (time, body) in enumerate(zip(batch.times, bodies, strict=True))
        ]

    def _line(self, tag: str, time: Time, body: bytes) -> bytes:
        body = body.removesuffix(b"\n").removesuffix(b"\r")
        return self._write_time(time).encode() + self._tag(tag) + body + self._end
