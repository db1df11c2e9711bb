"""Lines of values between delimiters: tsv and ltsv. Settings and rules: fluentd's parser_tsv.rb and parser_ltsv.rb."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from logpipe import Host, ParseError, Record, param
from logpipe.codec import LineRecordParser, ParseOptions, Timed, split_text
from logpipe.ruby import call_within


def delimiter_of(text: str) -> str:
    """Return a delimiter, which fluentd takes as it is written.

    Raises:
        ValueError: it is empty.
    """
    if not text:
        raise ValueError("a delimiter cannot be empty: write the characters between two values")
    return text


class TsvOptions(ParseOptions):
    """Settings of `<parse> @type tsv`."""

    keys: list[str] = param("The names of the fields, in the order of the values.")
    delimiter: str = param("What is between two values.", default="\t", convert=delimiter_of)


class TsvParser(LineRecordParser[TsvOptions], type="tsv"):
    """Reads values in the order of `keys`: missing ones are null, and the last field has all that is left."""

    def __init__(self, options: TsvOptions, host: Host) -> None:
        super().__init__(options, host)
        self._keys = options.keys
        self._nothing = dict.fromkeys(options.keys)

    def record(self, line: str) -> Record:
        """Return a line's values under their names."""
        # compat: Ruby's split finds no value at all in an empty text
        values = split_text(line, self.options.delimiter, len(self._keys)) if line else []
        return {**self._nothing, **dict(zip(self._keys, values, strict=False))}

    def records(self, lines: list[str], errors: dict[int, ParseError]) -> list[Record | None]:
        """Return each line's record."""
        delimiter, keys = self.options.delimiter, self._keys
        most = len(keys) - 1
        if delimiter == " " or most < 1:
            return super().records(lines, errors)
        try:
            return [dict(zip(keys, line.split(delimiter, most), strict=True)) for line in lines]
        except ValueError:  # one has not as many values
            return super().records(lines, errors)


class LtsvOptions(ParseOptions):
    """Settings of `<parse> @type ltsv`."""

    time_key: str | None = param("Field that holds the event's time; it is taken out of the record.", default="time")
    delimiter: str = param("What is between two fields.", default="\t", convert=delimiter_of)
    delimiter_pattern: re.Pattern[str] | None = param(
        "Regular expression of what is between two fields; it replaces `delimiter`.", default=None
    )
    label_delimiter: str = param("What is between a field's name and its value.", default=":", convert=delimiter_of)


class LtsvParser(LineRecordParser[LtsvOptions], type="ltsv"):
    """Reads fields that say their names: `name:value`; what has no label delimiter is left out."""

    def __init__(self, options: LtsvOptions, host: Host) -> None:
        super().__init__(options, host)
        self._delimiter, self._label = options.delimiter, options.label_delimiter
        self._is_plain = " " not in {self._delimiter, self._label}
        self._split: Timed[list[str]] | None = None
        if options.delimiter_pattern is not None:
            split = _splitter(options.delimiter_pattern)
            self._split = Timed(split, options, host, quick=partial(call_within, split))

    def record(self, line: str) -> Record | None:
        """Return a line's fields."""
        if self._split is None:
            return self._fields(split_text(line, self._delimiter))
        found = self._split.one(line)
        return None if found is None else self._fields(found)

    def records(self, lines: list[str], errors: dict[int, ParseError]) -> list[Record | None]:
        """Return each line's fields."""
        if self._split is not None:
            return [None if found is None else self._fields(found) for found in self._split.many(lines)]
        if self._is_plain:
            delimiter, label = self._delimiter, self._label
            try:
                return [dict([pair.split(label, 1) for pair in line.split(delimiter)]) for line in lines]
            except ValueError:  # something has no label
                pass
        return super().records(lines, errors)

    def _fields(self, pairs: list[str]) -> Record:
        split = [split_text(pair, self._label, 2) for pair in pairs]
        return {pair[0]: pair[1] for pair in split if len(pair) > 1}


def _splitter(pattern: re.Pattern[str]) -> Callable[[str], list[str]]:
    """Return a pattern's split, in which groups of the pattern are parts, too, as in Ruby."""
    split = pattern.split
    if not pattern.groups:
        return split
    return lambda line: [part for part in split(line) if part is not None]
