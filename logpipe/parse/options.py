"""The settings that every `<parse>` section has: fluentd's plugin/parser.rb."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC

from logpipe.config.conversion import Seconds
from logpipe.config.declare import InvalidSetting, param
from logpipe.config.time_options import TimeOptions
from logpipe.time_format import TimeType


class ParseOptions(TimeOptions):
    """The time field of a record, and the conversion of the others."""

    time_key: str | None = param("Field that holds the event's time; it is taken out of the record.", default=None)
    keep_time_key: bool = param("Leave the time's field in the record.", default=False)
    estimate_current_event: bool = param(
        "Give events without a time the current one; else the stage that uses the parser decides.", default=True
    )
    types: dict[str, str] = param(
        "Types of fields, `name:integer,name:bool,…`: string, integer, float, bool, time with an optional zone and "
        "format, array with an optional delimiter.",
        default={},
    )
    null_value_pattern: re.Pattern[str] | None = param("Texts that match become null.", default=None)
    null_empty_string: bool = param("Empty texts become null.", default=False)
    timeout: Seconds | None = param(
        "How long a regular expression may take over one line; a line that takes longer is not matched.", default=None
    )

    @property
    def effective_time_type(self) -> TimeType:
        """The `time_type` in force."""
        return self.time_type or "string"

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield a zone without a format, and unknown types."""
        yield from super().check()
        zoned = self.timezone is not None or self.zone is UTC
        if zoned and self.effective_time_type == "string" and self.time_format is None:
            yield "specifying timezone requires time format: add time_format"
        if not self.types:
            return
        from logpipe.parse.types import compile_types  # noqa: PLC0415 - needs parts of the expressions

        try:
            compile_types(self.types)
        except ValueError as problem:
            yield InvalidSetting(str(problem), param="types")
