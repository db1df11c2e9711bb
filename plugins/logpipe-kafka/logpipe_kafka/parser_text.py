"""`@type text` in a `<parse>` section: what the Kafka inputs call a message that is taken as it is."""

from __future__ import annotations

from typing import Any

from logpipe import Options, Parsed, Parser, Record, Time, param
from logpipe.codec import texts_or_bytes


class TextOptions(Options):
    """Settings of `<parse> @type text`."""

    message_key: str = param("Field that holds the message.", default="message")


class TextParser(Parser[TextOptions], type="text"):
    """Makes a record of the whole message; its time is the current one. in_kafka_group.rb's setup_parser."""

    def parse(self, line: str) -> list[tuple[Time | None, Record]]:
        """Return the event of one message."""
        return [(self.host.clock.now(), {self.options.message_key: line})]

    def parse_value(self, value: Any) -> list[tuple[Time | None, Record]]:
        """Return the event of any value."""
        return [(self.host.clock.now(), {self.options.message_key: value})]

    def parse_lines(self, lines: list[bytes], now: Time) -> Parsed:
        """Return the events of many messages."""
        key = self.options.message_key
        return Parsed([now] * len(lines), [{key: text} for text in texts_or_bytes(lines)], [])
