"""A record's log event. Rules: `write` of out_cloudwatch_logs.rb."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import orjson

from logpipe import EventBatch, FormatError, PermanentError, Record, Time
from logpipe.bulk import Entry, Made
from logpipe.codec import RecordFormatter, dump_record, readable
from logpipe.ruby import to_s
from logpipe_aws.cloudwatch.options import LogsOptions, days

MOST_BYTES: Final = 1_048_576
"""Of one request: its messages, and 26 bytes for each."""
_HEADER: Final = 26
_DAY: Final = 86_400_000
_MILLIS: Final = 1_000_000
_GROUP: Final = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")
_STREAM: Final = re.compile(r"[^:*\x00-\x1f]{1,512}")
_START: Final = b'{"timestamp":'
_MOST_TAGS: Final = 50


class Wish(NamedTuple):
    """How a group is made that is not there."""

    tags: Mapping[str, str]
    retention: int | None


class Wishes:
    """Those of one attempt."""

    def __init__(self) -> None:
        self.by_group: dict[str, Wish] = {}
        """The first event for a group says."""


class Target(NamedTuple):
    """Where events of one request go: their times are of one day, since a request must not span more."""

    group: str
    stream: str
    day: int
    wishes: Wishes


class Names(NamedTuple):
    """What the settings say for a chunk; None where each event says it."""

    group: str | None
    stream: str | None
    tags: Mapping[str, str]


class Events:
    """Makes log events.

    Args:
        options: the settings.
        injected: returns a batch's records with the fields of `<inject>`.
        formatter: of `<format>`, None without.
    """

    def __init__(
        self,
        options: LogsOptions,
        injected: Callable[[EventBatch], list[Record]],
        formatter: RecordFormatter | None,
    ) -> None:
        self._options = options
        self._injected = injected
        self._formatter = formatter
        self._left_out = [
            key
            for key, is_removed in (
                (options.log_group_name_key, options.remove_log_group_name_key),
                (options.log_stream_name_key, options.remove_log_stream_name_key),
                (options.log_group_aws_tags_key, options.remove_log_group_aws_tags_key),
                (options.retention_in_days_key, options.remove_retention_in_days_key),
            )
            if key is not None and is_removed
        ]

    def maker(self, names: Names) -> Callable[[EventBatch], Made]:
        """Return what makes entries of a batch's records; for a thread."""
        wishes = Wishes()

        def make(batch: EventBatch) -> list[Entry | Exception | None]:
            return [
                self._entry(batch.tag, time, record, names, wishes)
                for time, record in zip(batch.times, self._injected(batch), strict=True)
            ]

        return make

    def _entry(self, tag: str, time: Time, record: Record, names: Names, wishes: Wishes) -> Entry | Exception | None:
        options = self._options
        group = names.group if names.group is not None else _named(tag, record, options.log_group_name_key)
        stream = names.stream if names.stream is not None else _named(tag, record, options.log_stream_name_key)
        if not _GROUP.fullmatch(group) or not _STREAM.fullmatch(stream):
            return PermanentError(f"there is no log group {group[:100]!r} with a stream {stream[:100]!r}")
        try:
            stream.encode()
            message = self._message(tag, time, record)
        except (UnicodeEncodeError, FormatError) as problem:
            return PermanentError(f"no log event can be made of it: {problem}")
        if not message:
            return None  # compat: what has no message is thrown away
        text = message.decode("utf-8", "replace")
        if options.max_message_length is not None:
            text = text[: options.max_message_length]
        if len(text.encode()) + _HEADER > MOST_BYTES:
            return PermanentError(f"its message is longer than {MOST_BYTES - _HEADER} bytes")
        millis = time // _MILLIS
        if group not in wishes.by_group:
            wishes.by_group[group] = self._wish(record, names)
        target = Target(group, stream, millis // _DAY, wishes)
        return Entry(target, b'%b%d,"message":%b},' % (_START, millis, orjson.dumps(text)))

    def _message(self, tag: str, time: Time, record: Record) -> bytes:
        # compat: fields that are empty are left out, with <format> too
        kept = {key: value for key, value in record.items() if value not in ("", b"") and key not in self._left_out}
        if self._formatter is not None:
            return self._formatter.format(tag, time, kept)
        if not self._options.message_keys:
            return dump_record(kept)
        texts = [readable(to_s(kept.get(key))) for key in self._options.message_keys]
        return " ".join(text for text in texts if text).encode("utf-8", "replace")

    def _wish(self, record: Record, names: Names) -> Wish:
        options = self._options
        tags, retention = names.tags, options.retention_in_days
        if options.log_group_aws_tags_key is not None:
            found = record.get(options.log_group_aws_tags_key)
            tags = {}
            if isinstance(found, dict):
                tags = {str(readable(key)): str(readable(value)) for key, value in [*found.items()][:_MOST_TAGS]}
        if options.retention_in_days_key is not None:
            retention = days(str(record.get(options.retention_in_days_key)))
        return Wish(tags, retention)


def _named(tag: str, record: Record, key: str | None) -> str:
    value: Any = tag if key is None else record.get(key)
    return value if type(value) is str else to_s(value) if type(value) in {int, bool} else ""


def time_of(data: bytes) -> int:
    """Return an event's milliseconds since the epoch."""
    return int(data[len(_START) : data.index(b",")])
