"""What is sent for an event: out_splunk_hec.rb's format_event and format_metric."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from logpipe import EventBatch, FormatError, OutputHost, Record, Time
from logpipe.bulk import Entry, Made
from logpipe.codec import RecordFormatter, dump_record, escape_values, escaped, holds_bytes
from logpipe.tree import compile_pattern
from logpipe_http_services.splunk.options import KEYS, SplunkHecOptions

_LONE: Final = re.compile("[\udc80-\udcff]+")
_MOST_TAGS: Final = 4096


class Events:
    """Makes the bytes of events, without a change to their records.

    Args:
        options: of the output.
        host: of the output.
    """

    def __init__(self, options: SplunkHecOptions, host: OutputHost) -> None:
        self._options, self._host = options, host
        self._keys = {
            name: tuple(path.split(".")) for name in KEYS if (path := getattr(options, f"{name}_key")) is not None
        }
        self._fixed = {name: text for name in KEYS if (text := getattr(options, name))}
        if "host" not in self._keys:
            self._fixed.setdefault("host", host.hostname)
        self._time = None if options.time_key is None else tuple(options.time_key.split("."))
        self._removed = [] if options.keep_keys else [*self._keys.values(), *filter(None, [self._time])]
        self._name: tuple[str, ...] = ()
        self._value: tuple[str, ...] = ()
        is_metric = options.data_type == "metric"
        self.is_wide = is_metric and options.metric_name_key is None and options.metrics_from_event
        """Whether each field of an event is sent as one of its own."""
        if is_metric and not self.is_wide:
            self._name = tuple((options.metric_name_key or "").split("."))
            self._value = tuple((options.metric_value_key or "").split("."))
            self._removed += [] if options.keep_keys else [self._name, self._value]
        self._fields: dict[str, str] | None = None
        if options.fields:
            given = {name: each.value for name, each in options.fields[0].params.items()}
            self._fields = {name: value if isinstance(value, str) and value else name for name, value in given.items()}
        formatters = [
            ([*map(compile_pattern, conf.owned.pattern.split())], host.formatter(conf))  # type: ignore[union-attr]
            for conf in options.format
        ]

        @lru_cache(_MOST_TAGS)
        def formatter_of(tag: str) -> RecordFormatter | None:
            return next((made for tests, made in formatters if any(test(tag) for test in tests)), None)

        self._formatter_of = formatter_of
        self._one: Callable[[str, Time, Record], bytes] = self._metric if is_metric else self._event

    def entries(self, batch: EventBatch) -> Made:
        """Return each event's entry."""
        return [self._entry(batch.tag, *event) for event in zip(batch.times, batch.records, strict=True)]

    def _entry(self, tag: str, time: Time, record: Record) -> Entry | Exception | None:
        try:
            data = self._one(tag, time, record)
        except (FormatError, TypeError, ValueError, RecursionError) as problem:
            return problem
        return Entry("", data) if data else None

    def _event(self, tag: str, time: Time, record: Record) -> bytes:
        payload = self._payload(tag, time, record)
        rest = self._rest(record)
        if self._fields is not None:
            payload["fields"] = self._extra(rest)
            for field in self._fields.values():
                rest.pop(field, None)
        formatter = self._formatter_of(tag)
        if formatter is None:
            payload["event"] = rest
        else:
            event = self._text(formatter.format(tag, time, self._clean(rest)))
            if event == "{}":
                self._host.log.debug("Event after formatting was blank, not sending")
                return b""
            payload["event"] = event
        return dump_record(self._clean(payload))

    def _metric(self, tag: str, time: Time, record: Record) -> bytes:
        payload = self._payload(tag, time, record) | {"event": "metric"}
        rest = self._rest(record)
        if self.is_wide:
            return b"".join(
                dump_record(self._clean({"fields": {"metric_name": name, "_value": value}} | payload))
                for name, value in rest.items()
            )
        fields = {"metric_name": _found(record, self._name), "_value": _found(record, self._value)}
        fields |= rest if self._fields is None else self._extra(rest)
        payload["fields"] = {name: value for name, value in fields.items() if value is not None}
        return dump_record(self._clean(payload))

    def _payload(self, tag: str, time: Time, record: Record) -> dict[str, Any]:
        payload: dict[str, Any] = {name: text.replace("${tag}", tag) for name, text in self._fixed.items()}
        payload["time"] = str(time / 1_000_000_000)
        if self._time is not None and (found := _found(record, self._time)) is not None:
            payload["time"] = found
        payload |= {name: _found(record, path) for name, path in self._keys.items()}
        return {name: value for name, value in payload.items() if value is not None and value != ""}

    def _extra(self, record: Record) -> dict[str, Any]:
        found = {name: record.get(field) for name, field in (self._fields or {}).items()}
        return {name: value for name, value in found.items() if value is not None}

    def _rest(self, record: Record) -> Record:
        """Return a copy without the fields that stand elsewhere."""
        rest = dict(record)
        for *path, last in self._removed:
            inner: Any = rest
            for name in path:
                value = inner.get(name)
                if not isinstance(value, dict):
                    inner = {}
                    break
                inner[name] = dict(value)
                inner = inner[name]
            inner.pop(last, None)
        return rest

    def _clean(self, value: dict[str, Any]) -> dict[str, Any]:
        """Return a record in which all is text.

        Raises:
            ValueError: something is not, and is not to be replaced.
        """
        if not holds_bytes(value):
            return value
        return self._replaced(escape_values(value))  # type: ignore[no-any-return]

    def _replaced(self, value: Any) -> Any:
        if isinstance(value, str):
            if not self._options.coerce_to_utf8 and _LONE.search(value):
                raise ValueError("a text of the event is not UTF-8, and coerce_to_utf8 is false")
            return _LONE.sub(lambda _: self._options.non_utf8_replacement_string, value)
        if isinstance(value, dict):
            return {self._replaced(name): self._replaced(each) for name, each in value.items()}
        return [self._replaced(each) for each in value] if isinstance(value, list) else value

    def _text(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            return str(self._replaced(escaped(data)))


def _found(record: Record, path: tuple[str, ...]) -> Any:
    value: Any = record
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value
