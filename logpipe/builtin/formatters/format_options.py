"""The settings that `<format>` sections share: fluentd's plugin/formatter.rb."""

from __future__ import annotations

from typing import Literal

from logpipe import TimeOptions, TimeType, param


class FormatOptions(TimeOptions):
    """How times are written, and how lines end."""

    newline: Literal["lf", "crlf"] = param("What ends a line.", default="lf")

    @property
    def effective_time_type(self) -> TimeType:
        """The `time_type` in force."""
        return self.time_type or "string"

    @property
    def line_end(self) -> str:
        """The characters that end a line."""
        return "\n" if self.newline == "lf" else "\r\n"
