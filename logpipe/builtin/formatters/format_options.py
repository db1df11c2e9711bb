"""The settings that `<format>` sections share: fluentd's plugin/formatter.rb."""

from __future__ import annotations

from typing import Final, Literal

from logpipe import param
from logpipe.codec import TimeOptions, TimeType

_BREAKS: Final = {
    **{place: f"\\x{place:02x}" for place in (*range(32), *range(127, 160))},
    0x2028: "\\u2028",
    0x2029: "\\u2029",
    **{place: f"\\u{place:04x}" for place in (*range(0xD800, 0xDC80), *range(0xDD00, 0xE000))},
}


def on_one_line(tag: str) -> bytes:
    """Return a tag as it stands in a line: a file's name that became one may hold newlines, which would begin others.

    Bytes of a name that are not UTF-8 are what they were; half a surrogate pair, which a field may hold, is spelled.
    """
    return (tag if tag.isprintable() else tag.translate(_BREAKS)).encode("utf-8", "surrogateescape")


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
