"""The time settings of `<parse>`, `<format>` and `<inject>`: fluentd's time.rb, TimeMixin."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, tzinfo

from logpipe.config.declare import InvalidSetting, param
from logpipe.config.options import Options
from logpipe.time_format import TimeType, find_zone


def _flag(text: str) -> bool:
    if text in {"true", "yes", ""} or text.startswith("#"):
        return True
    if text in {"false", "no"}:
        return False
    raise ValueError(f'"{text}" is neither true nor false: write true or false')


class ZoneOptions(Options):
    """The format and the zone of times."""

    time_format: str | None = param(
        "How a time is written, with Ruby's strptime and strftime directives.", default=None
    )
    localtime: bool | None = param(
        "Times are in the machine's zone, the default without this, `utc` and `timezone`; false is UTC.",
        default=None,
        convert=_flag,
    )
    utc: bool | None = param("Times are in UTC; the opposite of `localtime`.", default=None, convert=_flag)
    timezone: str | None = param(
        "Times are in this zone, `+09:00` or `Asia/Tokyo`; overrides `localtime` and `utc`.", default=None
    )
    time_format_fallbacks: list[str] = param(
        "Formats to try when `time_format` does not fit; `unixtime` and `float` are numbers. For `time_type mixed`.",
        default=[],
    )

    @property
    def zone(self) -> tzinfo | None:
        """The zone of times without one; None is the machine's."""
        if self.timezone is not None:
            return find_zone(self.timezone)
        local = self.localtime if self.localtime is not None else not self.utc
        return None if local and not self.utc else UTC

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield zones that contradict each other or do not exist."""
        yield from super().check()
        if self.localtime is not None and self.localtime == self.utc:
            yield InvalidSetting("both of utc and localtime are specified: use only one of them", param="utc")
        if self.timezone is not None:
            try:
                find_zone(self.timezone)
            except ValueError as problem:
                yield InvalidSetting(str(problem), param="timezone")


class TimeOptions(ZoneOptions):
    """The kind, the format and the zone of times."""

    time_type: TimeType | None = param(
        "What a time is: text in `time_format`, whole seconds since 1970 (unixtime), seconds with a fraction (float), "
        "or any of several formats (mixed). Unset it is string; in the parser json float, unless `time_format` is set.",
        default=None,
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what is missing for the kind of times."""
        yield from super().check()
        if self.time_type == "mixed" and self.time_format is None and not self.time_format_fallbacks:
            message = "time_type mixed needs formats to try: add time_format or time_format_fallbacks"
            yield InvalidSetting(message, param="time_type")
