"""`<inject>`: adds time, tag, host name and worker to an output's records. Fluentd's plugin_helper/inject.rb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

from logpipe.config.declare import InvalidSetting, param
from logpipe.config.time_options import ZoneOptions
from logpipe.event import EventBatch, Record, Time
from logpipe.plugin import Host
from logpipe.time_format import compile_formatter


class InjectOptions(ZoneOptions):
    """Which fields to add."""

    hostname_key: str | None = param("Field for the host's name.", default=None)
    hostname: str | None = param("The name to write, if not the host's own.", default=None)
    worker_id_key: str | None = param("Field for the worker's number.", default=None)
    tag_key: str | None = param("Field for the tag.", default=None)
    time_key: str | None = param("Field for the time.", default=None)
    time_type: Literal["float", "unixtime", "unixtime_millis", "unixtime_micros", "unixtime_nanos", "string"] = param(
        "What the time is written as: seconds with microseconds (float), whole seconds, milliseconds, microseconds or "
        "nanoseconds since 1970, or text in `time_format`.",
        default="float",
    )


_NUMBERS: Final[dict[str, Callable[[Time], Any]]] = {
    # compat: inject.rb truncates to microseconds, which a float can represent
    "float": lambda time: time // 1000 / 1_000_000,
    "unixtime": lambda time: time // 1_000_000_000,
    "unixtime_millis": lambda time: time // 1_000_000,
    "unixtime_micros": lambda time: time // 1000,
    "unixtime_nanos": lambda time: time,
}


def compile_inject(options: InjectOptions | None, host: Host) -> Callable[[EventBatch], list[Record]]:
    """Return the function that returns a batch's records with the fields added.

    The batch's own records are not changed; without anything to add they are returned.

    Raises:
        InvalidSetting: `hostname_key` is a chunk key: chunks are chosen before the field is added.
    """
    if options is None:
        return lambda batch: batch.records
    chunk_keys = getattr(host, "chunk_keys", ())  # an output's host has them
    if options.hostname_key is not None and options.hostname_key in chunk_keys:
        message = f'hostname_key "{options.hostname_key}" cannot be a chunk key: add the field by a filter'
        raise InvalidSetting(message)
    if options.time_format is not None and options.time_key is None:
        host.log.warning("'time_format' specified without 'time_key', will be ignored")
    constant = _constant(options, host)
    tag_key, time_key = options.tag_key, options.time_key
    if not constant and tag_key is None and time_key is None:
        return lambda batch: batch.records

    def of_batch(batch: EventBatch) -> dict[str, Any]:
        return constant if tag_key is None else {**constant, tag_key: batch.tag}

    if time_key is None:
        return lambda batch: [{**record, **added} for added in [of_batch(batch)] for record in batch.records]
    write = _NUMBERS.get(options.time_type) or compile_formatter(options.time_format, zone=options.zone)

    def with_time(batch: EventBatch) -> list[Record]:
        added = of_batch(batch)
        return [
            {**record, **added, time_key: write(time)} for time, record in zip(batch.times, batch.records, strict=True)
        ]

    return with_time


def _constant(options: InjectOptions, host: Host) -> dict[str, Any]:
    constant: dict[str, Any] = {}
    if options.hostname_key is not None:
        constant[options.hostname_key] = options.hostname or host.hostname
    if options.worker_id_key is not None:
        constant[options.worker_id_key] = host.worker_id
    return constant
