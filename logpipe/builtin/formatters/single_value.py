"""One field's text a line. Settings: fluentd's plugin/formatter_single_value.rb."""

from __future__ import annotations

from logpipe import Formatter, Host, Record, Time, param
from logpipe.builtin.formatters.text import to_bytes
from logpipe.codec import LineOptions


class SingleValueOptions(LineOptions):
    """Settings of `<format> @type single_value`."""

    message_key: str = param("The field to write.", default="message")
    add_newline: bool = param("End each text with a newline.", default=True)


class SingleValueFormatter(Formatter[SingleValueOptions], type="single_value"):
    """Writes a field as Ruby's `to_s` would; a missing one is an empty line."""

    def __init__(self, options: SingleValueOptions, host: Host) -> None:
        super().__init__(options, host)
        self._end = options.line_end.encode() if options.add_newline else b""

    def format(self, tag: str, time: Time, record: Record) -> bytes:
        """Return one field's text."""
        del tag, time
        return to_bytes(record.get(self.options.message_key)) + self._end
