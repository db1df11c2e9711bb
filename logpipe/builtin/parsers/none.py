"""Lines as they are, under one key. Settings: plugin/parser_none.rb."""

from __future__ import annotations

from typing import Any

from logpipe import Parsed, Parser, Record, Time, param
from logpipe.builtin.parsers.fixed_fields import FixedFieldsOptions
from logpipe.codec import texts_or_bytes


class NoneOptions(FixedFieldsOptions):
    """Settings of `<parse> @type none`."""

    message_key: str = param("Field that holds the line.", default="message")


class NoneParser(Parser[NoneOptions], type="none"):
    """Makes a record of the whole line; its time is the current one."""

    def parse(self, line: str) -> list[tuple[Time | None, Record]]:
        """Return the event of one line."""
        time = self.host.clock.now() if self.options.estimate_current_event else None
        return [(time, {self.options.message_key: line})]

    def parse_value(self, value: Any) -> list[tuple[Time | None, Record]]:
        """Return the event of any value."""
        return self.parse(value)

    def parse_lines(self, lines: list[bytes], now: Time) -> Parsed:
        """Return the events of many lines."""
        key = self.options.message_key
        return Parsed([now] * len(lines), [{key: text} for text in texts_or_bytes(lines)], [])
