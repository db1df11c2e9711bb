"""Escapes untrusted text in logs and on terminals, so that it neither ends a line nor controls the terminal.

A file's name, a tag or a server's response may contain newlines, terminal escapes and marks that change the writing
direction.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from typing import Any, Final, TextIO

# CVE-2017-10906: a record's terminal escapes must not reach the operator's screen. Lone surrogates, which stand for
# bytes that are not UTF-8, cannot be written at all.
_CONTROLS: Final = "\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff"
_UNSAFE: Final = re.compile(f"[{_CONTROLS}]")
_UNSAFE_IN_A_LINE: Final = re.compile(f"[\\n{_CONTROLS}]")
_SHORT: Final = {"\n": "\\n", "\r": "\\r"}


def printable(text: str) -> str:
    """Return a text of several lines with all characters escaped that are not printable, newlines or tabs."""
    return _UNSAFE.sub(_escape, text)


def in_one_line(text: str) -> str:
    """Return a text as one line, newlines escaped, too."""
    return _UNSAFE_IN_A_LINE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    return _SHORT.get(char) or (f"\\x{ord(char):02x}" if ord(char) < 0x20 else f"\\u{ord(char):04x}")


def format_traceback(error: BaseException) -> str:
    """Return an exception's traceback, indented; line breaks in messages are escaped."""
    return "\n".join(f"  {line}" for line in _lines(error))


def _lines(error: BaseException) -> Iterator[str]:
    for part in traceback.TracebackException.from_exception(error).format():
        text = part.rstrip("\n")
        # a frame's lines are its place and its code, a heading is between blank lines; the rest are messages
        is_ours = text.lstrip(" |+-").startswith(("File ", "Traceback (", "[Previous line")) or text.startswith("\n")
        yield from map(in_one_line, text.split("\n") if is_ours else [text])


class PrintableStream:
    """A text stream to which only printable text is written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, with escapes for what is not printable."""
        self._stream.write(printable(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
