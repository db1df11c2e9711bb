"""Time, tag and JSON in one line, as out_file writes them. Settings: fluentd's plugin/formatter_out_file.rb."""

from __future__ import annotations

from collections.abc import Callable

from logpipe import Host, Time, param
from logpipe.codec import LineFormatter, LineOptions, compile_typed_formatter, on_one_line


def _delimiter(text: str) -> str:
    # compat: formatter_out_file.rb searches the text for two words, and uses a tab for all others
    if "SPACE" in text.upper():
        return " "
    return "," if "COMMA" in text.upper() else "\t"


class OutFileOptions(LineOptions):
    """Settings of `<format> @type out_file`."""

    output_time: bool = param("Begin with the time.", default=True)
    output_tag: bool = param("Write the tag.", default=True)
    delimiter: str = param("The separator of the parts: SPACE, COMMA, or else a tab.", default="\t", convert=_delimiter)


class OutFileFormatter(LineFormatter[OutFileOptions], type="out_file"):
    """Writes `TIME<tab>TAG<tab>JSON`; without a `time_format` the time is ISO 8601."""

    def __init__(self, options: OutFileOptions, host: Host) -> None:
        super().__init__(options, host, _time_writer(options), options.line_end.encode())

    def _tag(self, tag: str) -> bytes:
        return on_one_line(tag) + self.options.delimiter.encode() if self.options.output_tag else b""


def _time_writer(options: OutFileOptions) -> Callable[[Time], str]:
    if not options.output_time:
        return lambda _: ""
    write = compile_typed_formatter(options.effective_time_type, options.time_format, zone=options.zone)
    delimiter = options.delimiter
    return lambda time: write(time) + delimiter
