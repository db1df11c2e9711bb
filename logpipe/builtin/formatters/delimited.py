"""Values between delimiters. Settings and rules: fluentd's plugin/formatter_tsv.rb and formatter_ltsv.rb."""

from __future__ import annotations

import re
from typing import Final

from logpipe import Formatter, Host, Record, Time, param
from logpipe.builtin.formatters.text import to_bytes
from logpipe.codec import LineOptions
from logpipe.ruby import to_s


class TsvOptions(LineOptions):
    """Settings of `<format> @type tsv`."""

    keys: list[str] = param("The fields to write, in order.")
    delimiter: str = param("What is between two values.", default="\t")
    add_newline: bool = param("End each line with a newline.", default=True)


class TsvFormatter(Formatter[TsvOptions], type="tsv"):
    """Writes the values of some fields in order; a missing one is empty. Delimiters in values stay as they are."""

    def __init__(self, options: TsvOptions, host: Host) -> None:
        super().__init__(options, host)
        self._keys = options.keys
        self._delimiter = options.delimiter
        self._end = options.line_end if options.add_newline else ""

    def format(self, tag: str, time: Time, record: Record) -> bytes:
        """Return one line."""
        del tag, time
        values = [record.get(key) for key in self._keys]
        try:
            return (self._delimiter.join(map(to_s, values)) + self._end).encode()
        except UnicodeEncodeError:  # a text that is not UTF-8
            return self._delimiter.encode().join(map(to_bytes, values)) + self._end.encode()


class LtsvOptions(LineOptions):
    """Settings of `<format> @type ltsv`."""

    delimiter: str = param("What is between two fields.", default="\t")
    label_delimiter: str = param("What is between a field's name and its value.", default=":")
    replacement: str = param("What stands for the delimiter in values.", default=" ")
    add_newline: bool = param("End each line with a newline.", default=True)


class LtsvFormatter(Formatter[LtsvOptions], type="ltsv"):
    """Writes every field as `name:value`; a delimiter in a value is replaced, one in a name is not."""

    def __init__(self, options: LtsvOptions, host: Host) -> None:
        super().__init__(options, host)
        self._delimiter = options.delimiter
        self._label = options.label_delimiter
        self._replacement = _as_ruby(options.replacement, options.delimiter)
        self._end = options.line_end if options.add_newline else ""

    def format(self, tag: str, time: Time, record: Record) -> bytes:
        """Return one line."""
        del tag, time
        delimiter, label, replacement = self._delimiter, self._label, self._replacement
        try:
            fields = [f"{name}{label}{to_s(value).replace(delimiter, replacement)}" for name, value in record.items()]
            return (delimiter.join(fields) + self._end).encode()
        except UnicodeEncodeError:  # a text that is not UTF-8
            return self._in_bytes(record)

    def _in_bytes(self, record: Record) -> bytes:
        delimiter, label, replacement = self._delimiter.encode(), self._label.encode(), self._replacement.encode()
        fields = [
            to_bytes(name) + label + to_bytes(value).replace(delimiter, replacement) for name, value in record.items()
        ]
        return delimiter.join(fields) + self._end.encode()


_REFERENCE: Final = re.compile(r"\\([0-9&'`\\])")


def _as_ruby(replacement: str, delimiter: str) -> str:
    r"""Return the text that Ruby's `gsub` puts in: `\0` and `\&` are what was found, two backslashes are one."""
    # what stands before and behind it is left out, since no configuration has a use for it
    texts = {"0": delimiter, "&": delimiter, "\\": "\\"}
    return _REFERENCE.sub(lambda found: texts.get(found[1], ""), replacement)
