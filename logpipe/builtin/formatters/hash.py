"""Ruby's text of a hash a line. Settings: fluentd's plugin/formatter_hash.rb."""

from __future__ import annotations

from logpipe import Formatter, Host, Record, Time, param
from logpipe.codec import LineOptions
from logpipe.ruby import inspect


def ruby_hash(record: Record) -> bytes:
    """Return a record as Ruby shows it, up to 3.3: `{"a"=>1, "b"=>nil}`.

    Raises:
        ExpressionError: it is nested too deeply, or too large.
    """
    return inspect(record).encode("utf-8", "replace")


class HashOptions(LineOptions):
    """Settings of `<format> @type hash`."""

    add_newline: bool = param("End each line with a newline.", default=True)


class HashFormatter(Formatter[HashOptions], type="hash"):
    """Writes records as Ruby shows them, for persons to read; neither time nor tag."""

    def __init__(self, options: HashOptions, host: Host) -> None:
        super().__init__(options, host)
        self._end = options.line_end.encode() if options.add_newline else b""

    def format(self, tag: str, time: Time, record: Record) -> bytes:
        """Return one record's text."""
        del tag, time
        return ruby_hash(record) + self._end
