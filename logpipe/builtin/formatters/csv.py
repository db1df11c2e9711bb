"""Values between commas. Settings and rules: fluentd's plugin/formatter_csv.rb, and Ruby's library CSV."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from logpipe import Formatter, Host, InvalidSetting, Record, Time, param
from logpipe.builtin.formatters.text import to_bytes
from logpipe.codec import FormatOptions
from logpipe.ruby import ExpressionError, RecordAccessor, to_s


def _delimiter(text: str) -> str:
    return "\t" if text in {"\\t", "TAB"} else text


class CsvOptions(FormatOptions):
    """Settings of `<format> @type csv`."""

    delimiter: str = param(r"What is between two values; `\t` and `TAB` are a tab.", default=",", convert=_delimiter)
    force_quotes: bool = param("Put quotes around every value, not only around those that need them.", default=True)
    fields: list[str] = param("The fields to write, in order: names, or paths such as `$.a.b`.")
    add_newline: bool = param("End each line with a newline.", default=True)

    @property
    def written(self) -> list[str]:
        """The fields that are written."""
        return [field for field in self.fields if field]

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield a list without fields, and paths that are none."""
        yield from super().check()
        if not self.written:
            yield InvalidSetting("there is no field to write: name some, fields a,b", param="fields")
        for field in self.written:
            try:
                RecordAccessor(field)
            except ExpressionError as problem:
                yield InvalidSetting(str(problem), param="fields")


class CsvFormatter(Formatter[CsvOptions], type="csv"):
    """Writes some fields in order; a missing one is empty, and a value that is no text is as Ruby's `to_s` has it."""

    def __init__(self, options: CsvOptions, host: Host) -> None:
        super().__init__(options, host)
        self._getters = _getters(options.written)
        self._delimiter = options.delimiter
        self._end = "\n" if options.add_newline else ""
        self._quotes_all = options.force_quotes
        self._needs_quotes = re.compile(rf'[\r\n"{re.escape(options.delimiter)}]').search

    def format(self, tag: str, time: Time, record: Record) -> bytes:
        """Return one line.

        Raises:
            ExpressionError: a path leads through a value that has no members.
        """
        del tag, time
        values = [get(record) for get in self._getters]
        try:
            texts = map(self._quoted if self._quotes_all else self._quoted_if_needed, values)
            return (self._delimiter.join(texts) + self._end).encode()
        except UnicodeEncodeError:  # a text that is not UTF-8
            line = self._delimiter.encode().join(map(self._quoted_bytes, values))
            return line + self._end.encode()

    @staticmethod
    def _quoted(value: Any) -> str:
        return '"' + (value if type(value) is str else to_s(value)).replace('"', '""') + '"'

    def _quoted_if_needed(self, value: Any) -> str:
        if value is None:
            return ""
        text = to_s(value)
        return text if text and not self._needs_quotes(text) else self._quoted(text)

    def _quoted_bytes(self, value: Any) -> bytes:
        if not self._quotes_all and not isinstance(value, bytes):
            return self._quoted_if_needed(value).encode("utf-8", "surrogatepass")
        return b'"' + to_bytes(value).replace(b'"', b'""') + b'"'


def _getters(fields: list[str]) -> list[Callable[[Record], Any]]:
    if not any(field.startswith(("$.", "$[")) for field in fields):
        return [_getter(field) for field in fields]
    return [RecordAccessor(field).dig for field in fields]


def _getter(field: str) -> Callable[[Record], Any]:
    return lambda record: record.get(field)
