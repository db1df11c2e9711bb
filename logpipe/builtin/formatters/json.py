"""One JSON object a line. Settings: fluentd's plugin/formatter_json.rb."""

from __future__ import annotations

from collections.abc import Callable

from logpipe import EventBatch, Formatter, Host, Record, Time, param
from logpipe.codec import LineOptions, dump_record, dump_records, replaced_texts


class JsonOptions(LineOptions):
    """Settings of `<format> @type json`."""

    json_parser: str = param("Accepted for compatibility: there is one JSON writer here.", default="oj")
    add_newline: bool = param("End each object with a newline.", default=True)


class JsonFormatter(Formatter[JsonOptions], type="json"):
    """Writes records as JSON; neither time nor tag."""

    def __init__(self, options: JsonOptions, host: Host) -> None:
        super().__init__(options, host)
        self._replaced = replaced_texts(host)
        self._end = options.line_end.encode() if options.add_newline else b""

    def format(self, tag: str, time: Time, record: Record) -> bytes:
        """Return one record's JSON."""
        del tag, time
        return dump_record(record, self._replaced) + self._end

    def format_batch(self, batch: EventBatch, failed: Callable[[int, Exception], None]) -> list[bytes]:
        """Return each record's JSON."""
        return dump_records(batch.records, failed, newline=self._end, replaced=self._replaced)
