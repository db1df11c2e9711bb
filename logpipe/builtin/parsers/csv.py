"""Lines of comma-separated values. Settings and rules: fluentd's plugin/parser_csv.rb, and Ruby's library CSV."""

from __future__ import annotations

import re
from typing import Final, Literal

from logpipe import Host, ParseError, Record, param
from logpipe.builtin.parsers.delimited import delimiter_of
from logpipe.codec import LineRecordParser, ParseOptions, split_text

_BREAK: Final = r"\r\n|\n|\r"
_LAST_BREAK: Final = re.compile(rf"(?:{_BREAK})\Z")


def _delimiter(text: str) -> str:
    if {'"', "\r", "\n"} & {*text}:
        raise ValueError("values cannot be delimited by quotes or newlines: write other characters")
    return delimiter_of(text)


class CsvOptions(ParseOptions):
    """Settings of `<parse> @type csv`."""

    keys: list[str] = param("The names of the fields, in the order of the values.")
    delimiter: str = param("What is between two values.", default=",", convert=_delimiter)
    parser_engine: Literal["normal", "fast"] = param(
        "How quotes are read: strictly (normal), or as far as they make sense (fast), where missing values are left "
        "out and not null.",
        default="normal",
        alias="parser_type",
    )


class CsvParser(LineRecordParser[CsvOptions], type="csv"):
    """Reads values in the order of `keys`; empty ones are null, and more than there are keys are left out."""

    def __init__(self, options: CsvOptions, host: Host) -> None:
        super().__init__(options, host)
        self._keys = options.keys
        self._nothing = dict.fromkeys(options.keys)
        self._is_fast = options.parser_engine == "fast"
        delimiter = re.escape(options.delimiter)
        # Python 3.11.2, which Debian 12 has, fails on what looks ahead within a possessive group.
        plain = rf'[^"\r\n{delimiter}]*+' if len(options.delimiter) == 1 else rf'(?:(?!{delimiter})[^"\r\n])*'
        self._value = re.compile(rf'(?:"([^"]*+(?:""[^"]*+)*+)"|({plain}))(?:({delimiter})|{_BREAK}|\Z)')

    def record(self, line: str) -> Record | None:
        """Return a line's values under their names; None for an empty line.

        Raises:
            ParseError: its quotes are not where they may be.
        """
        if self._is_fast:
            # compat: parser_csv.rb takes an empty line for a record without fields
            return dict(zip(self._keys, _lenient(_LAST_BREAK.sub("", line), self.options.delimiter), strict=False))
        if not line:
            return None
        return {**self._nothing, **dict(zip(self._keys, self._strict(line), strict=False))}

    def records(self, lines: list[str], errors: dict[int, ParseError]) -> list[Record | None]:
        """Return each line's record."""
        block = "\n".join(lines)
        if self._is_fast or '"' in block or "\r" in block or block.count("\n") >= len(lines):
            return super().records(lines, errors)
        keys, delimiter, nothing = self._keys, self.options.delimiter, self._nothing
        found: list[Record | None] = []
        for line in lines:
            values: list[str | None] = [*line.split(delimiter)]
            if "" in values:
                values = [value or None for value in values]
            if len(values) < len(keys):
                found.append({**nothing, **dict(zip(keys, values, strict=False))} if line else None)
            else:
                found.append(dict(zip(keys, values, strict=False)) if line else None)
        return found

    def _strict(self, line: str) -> list[str | None]:
        """Return the values of a text's first line, which goes on within quotes."""
        values: list[str | None] = []
        place = 0
        read = self._value.match
        while True:
            found = read(line, place)
            if found is None:
                raise ParseError(f"invalid CSV from character {place + 1} on: a quote is missing or out of place")
            quoted, plain, more = found.groups()
            values.append(quoted.replace('""', '"') if quoted is not None else plain or None)
            if more is None:
                return values
            place = found.end()


def _lenient(line: str, delimiter: str) -> list[str | None]:
    """Return a line's values, by rules that give some value to any quotes: parse_fast_internal of parser_csv.rb."""
    if not line:
        return []
    values: list[str | None] = []
    columns = iter(split_text(line, delimiter))
    for column in columns:
        quotes = column.count('"')
        is_quoted = column.startswith('"') and column.endswith('"')
        if quotes == 1 and column.startswith('"'):
            merged = [column]
            for more in columns:
                merged.append(more)
                if more.endswith('"'):
                    break
            text = delimiter.join(merged)
            # fluentd also drops the last character where no quote closes the value
            values.append(text[1:-1] if len(merged) > 1 and text.endswith('"') else text[1:])
        elif quotes > 1:
            text = column[1:-1] if is_quoted else column
            values.append(text.replace('""', '"') if quotes > 2 else text)
        else:
            values.append(column or None)
    return values
