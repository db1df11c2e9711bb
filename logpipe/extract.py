"""`<extract>`: takes an event's tag and time from fields of its record. Fluentd's plugin_helper/extract.rb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from logpipe.config.declare import param
from logpipe.config.time_options import ZoneOptions
from logpipe.event import Record, Time
from logpipe.plugin import Host
from logpipe.time_format import compile_typed_parser

_NANOS = 1_000_000_000


class ExtractOptions(ZoneOptions):
    """Which fields to take."""

    tag_key: str | None = param("Field that holds the tag; it is taken out of the record.", default=None)
    keep_tag_key: bool = param("Leave the tag's field in the record.", default=False)
    time_key: str | None = param("Field that holds the time; it is taken out of the record.", default=None)
    keep_time_key: bool = param("Leave the time's field in the record.", default=False)
    time_type: Literal["float", "unixtime", "string"] = param(
        "What the time is written as: seconds since 1970 with a fraction (float), whole ones (unixtime), or text in "
        "`time_format`.",
        default="float",
    )


def compile_extract_tag(options: ExtractOptions | None) -> Callable[[Record], str | None] | None:
    """Return the function that takes the tag out of a record, None where it has none; None without a `tag_key`.

    A value that is no text becomes the text that Ruby makes of it.
    """
    if options is None or options.tag_key is None:
        return None
    from logpipe.expression.runtime.text import to_s  # noqa: PLC0415 - `logpipe.codec` has this module for everybody

    take = _taking(options.tag_key, keep=options.keep_tag_key)

    def tag(record: Record) -> str | None:
        value = take(record)
        return None if value is _MISSING else to_s(value)

    return tag


def compile_extract_time(options: ExtractOptions | None, host: Host) -> Callable[[Record], Time | None] | None:
    """Return the function that takes the time out of a record, None where it has none; None without a `time_key`.

    It raises ParseError where the field holds no such time.
    """
    if options is None or options.time_key is None:
        if options is not None and options.time_format is not None:
            host.log.warning("'time_format' specified without 'time_key', will be ignored")
        return None
    take = _taking(options.time_key, keep=options.keep_time_key)
    read = compile_typed_parser(
        options.time_type, options.time_format, zone=options.zone, clock=lambda: host.clock.now() / _NANOS
    ).one

    def time(record: Record) -> Time | None:
        value = take(record)
        return None if value is _MISSING else read(value)

    return time


class _Missing:
    """The type of the marker for a field that a record does not have."""


_MISSING = _Missing()


def _taking(key: str, *, keep: bool) -> Callable[[Record], Any]:
    if keep:
        return lambda record: record.get(key, _MISSING)
    return lambda record: record.pop(key, _MISSING)
