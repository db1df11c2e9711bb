"""`<inject>`: adds time, tag, host name and worker to what is sent. Fluentd's plugin_helper/inject.rb."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, tzinfo
from typing import Any, Final, Literal

from logpipe import EventBatch, Host, InvalidSetting, Options, Time, compile_formatter, find_zone, param


class InjectOptions(Options):
    """Which fields to add."""

    hostname_key: str | None = param("Field for the host's name.", default=None)
    hostname: str | None = param("The name to write, if not the host's own.", default=None)
    worker_id_key: str | None = param("Field for the worker's number.", default=None)
    tag_key: str | None = param("Field for the tag.", default=None)
    time_key: str | None = param("Field for the time.", default=None)
    time_type: Literal["float", "unixtime", "unixtime_millis", "unixtime_micros", "unixtime_nanos", "string"] = param(
        "What the time is written as: seconds with microseconds (float), a whole number since 1970, or text in "
        "`time_format`.",
        default="float",
    )
    time_format: str | None = param("How a time is written as text.", default=None)
    localtime: bool = param("Times are in the machine's zone; false is UTC.", default=True)
    utc: bool = param("Times are in UTC.", default=False)
    timezone: str | None = param("Times are in this zone, `+09:00` or `Asia/Tokyo`.", default=None)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield a zone that does not exist."""
        if self.timezone is not None:
            try:
                find_zone(self.timezone)
            except ValueError as problem:
                yield InvalidSetting(str(problem), param="timezone")

    @property
    def zone(self) -> tzinfo | None:
        """The zone of times as text; None is the machine's."""
        if self.timezone is not None:
            return find_zone(self.timezone)
        return UTC if self.utc or not self.localtime else None


_NUMBERS: Final[dict[str, Callable[[Time], Any]]] = {
    # compat: inject.rb cuts to microseconds, which a float can hold
    "float": lambda time: time // 1000 / 1_000_000,
    "unixtime": lambda time: time // 1_000_000_000,
    "unixtime_millis": lambda time: time // 1_000_000,
    "unixtime_micros": lambda time: time // 1000,
    "unixtime_nanos": lambda time: time,
}


def compile_inject(options: InjectOptions | None, host: Host) -> Callable[[EventBatch], None] | None:
    """Return the function that adds the fields to a batch's records, None where there are none to add.

    Raises:
        InvalidSetting: `hostname_key` is a chunk key: chunks are cut before the field is there.
    """
    if options is None:
        return None
    if options.hostname_key is not None and options.hostname_key in host.chunk_keys:
        raise InvalidSetting(f'hostname_key "{options.hostname_key}" cannot be a chunk key: add the field by a filter')
    constant: dict[str, Any] = {}
    if options.hostname_key is not None:
        constant[options.hostname_key] = options.hostname or host.hostname
    if options.worker_id_key is not None:
        constant[options.worker_id_key] = host.worker_id
    tag_key, time_key = options.tag_key, options.time_key
    write = _NUMBERS.get(options.time_type) or compile_formatter(options.time_format, zone=options.zone)
    if not constant and tag_key is None and time_key is None:
        return None

    def inject(batch: EventBatch) -> None:
        added = constant if tag_key is None else {**constant, tag_key: batch.tag}
        for record in batch.records:
            record.update(added)
        if time_key is not None:
            for time, record in zip(batch.times, batch.records, strict=True):
                record[time_key] = write(time)

    return inject
