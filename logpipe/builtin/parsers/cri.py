"""Lines of containerd and CRI-O: `TIME STREAM LOGTAG MESSAGE`. Settings and rules: fluent-plugin-parser-cri 0.1.1."""

from __future__ import annotations

from typing import Any

from logpipe import Host, Parsed, PluginConf, Record, Time, param, plugin_section
from logpipe.codec import FieldParser, LineParser, ParseOptions, text_or_bytes, texts_or_bytes


class CriOptions(ParseOptions):
    """Settings of `<parse> @type cri`."""

    merge_cri_fields: bool = param("Add `stream` and `logtag` to what `<parse>` makes of the message.", default=True)
    parse: PluginConf | None = plugin_section(
        "How to read the message; without it, it becomes the field `message`.", kind="parser"
    )
    time_key: str | None = param(
        "Field for the line's time, where the message is not parsed; one of the line's own (`message`) is lost to it.",
        default="time",
    )
    time_format: str | None = param("How the line's time is written.", default="%Y-%m-%dT%H:%M:%S.%L%z")
    keep_time_key: bool = param("Leave the time's field in the record.", default=True)


class CriParser(FieldParser[CriOptions], type="cri"):
    """Reads the kubelet's log files.

    A long message is split into several lines, all but the last with the logtag P. Each becomes an event with its
    `logtag`, for a later stage to join. Where the message is parsed, the event's time is the message's own, as in the
    original.
    """

    def __init__(self, options: CriOptions, host: Host) -> None:
        super().__init__(options, host)
        self._message = host.parser(options.parse) if options.parse is not None else None
        # a time that is not kept may have the name of another field
        self._key = self._time_field = (options.time_key if options.keep_time_key else None) or "time"

    def parse(self, line: str) -> list[tuple[Time | None, Record]]:
        """Return the event of one line.

        Raises:
            ParseError: a time is in another format.
        """
        parts = line.split(" ", 3)
        if len(parts) < 4:
            return []
        if self._message is None:
            return [self.event(self._record(parts))]
        events = self._message.parse(parts[3])[-1:]  # compat: parser_cri.rb keeps the last event of a message
        if self.options.merge_cri_fields:
            for _, record in events:
                record["stream"], record["logtag"] = parts[1], parts[2]
        return events

    def parse_lines(self, lines: list[bytes], now: Time) -> Parsed:
        """Return the events of many lines."""
        if self._message is not None:
            return self._parse_messages(self._message, lines, now)
        rows: list[list[Any]]
        try:
            rows = [line.decode().split(" ", 3) for line in lines]
        except UnicodeDecodeError:
            rows = [texts_or_bytes(line.split(b" ", 3)) for line in lines]
        try:
            records = [self._record(row) for row in rows]
        except ValueError:  # not enough values to unpack
            numbers = [number for number, row in enumerate(rows) if len(row) == 4]
            unmatched = [number for number, row in enumerate(rows) if len(row) < 4]
            records = [self._record(rows[number]) for number in numbers]
            return self.parsed(records, now, numbers=numbers, unmatched=unmatched)
        return self.parsed(records, now, numbers=range(len(rows)), unmatched=[])

    def _record(self, parts: list[Any]) -> Record:
        time, stream, logtag, message = parts
        return {"stream": stream, "logtag": logtag, "message": message, self._time_field: time}

    def _parse_messages(self, message: LineParser, lines: list[bytes], now: Time) -> Parsed:
        rows = [line.split(b" ", 3) for line in lines]
        if any(len(row) < 4 for row in rows):
            return super().parse_lines(lines, now)
        parsed = message.parse_lines([row[3] for row in rows], now)
        numbers = parsed.lines_of_records(len(rows))
        if numbers is None or len({*numbers}) < len(numbers):
            # a message with several events: assign them to lines one by one
            return super().parse_lines(lines, now)
        if self.options.merge_cri_fields:
            for record, number in zip(parsed.records, numbers, strict=True):
                _, stream, logtag, _ = rows[number]
                record["stream"], record["logtag"] = text_or_bytes(stream), text_or_bytes(logtag)
        return parsed
