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
    """Return a tag for a line of output, with newlines escaped: a tag made of a file's name may contain some.

    Bytes of a name that are not UTF-8 are kept; a lone surrogate, which a field may contain, is escaped.
    """
    return (tag if tag.isprintable() else tag.translate(_BREAKS)).encode("utf-8", "surrogateescape")


class FormatOptions(TimeOptions):
    """How times are written, and how lines end."""

    newline: Literal["lf", "crlf"] = param("The end of a line.", default="lf")

    @property
    def effective_time_type(self) -> TimeType:
        """The `time_type` in force."""
        return self.time_type or "string"

    @property
    def line_end(self) -> str:
        """The characters that end a line."""
        return "\n" if self.newline == "lf" else "\r\n"
