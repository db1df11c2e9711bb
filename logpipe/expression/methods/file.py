"""The open file of embedded code: its text was read before, nothing here touches a disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from logpipe.expression.failures import RubyError
from logpipe.expression.methods.declaration import Methods

methods = Methods()


class OpenFile:
    """What `File.open(path) do |f| … end` hands to its block: the file's text, already read."""

    __slots__ = ("_lines", "text")

    ruby_class = "File"

    def __init__(self, text: str) -> None:
        self.text = text
        self._lines: Iterator[str] = iter(text.splitlines(keepends=True))

    def line(self) -> str:
        """Return the next line.

        Raises:
            RubyError: there is none (EOFError).
        """
        with suppress(StopIteration):
            return next(self._lines)
        raise RubyError("EOFError", "end of file reached")


@methods.of(OpenFile, names="read", returns=str)
def read(file: OpenFile) -> str:
    """Return the whole text."""
    return file.text


@methods.of(OpenFile, names="readline gets first", returns=str)
def readline(file: OpenFile) -> str:
    """Return the next line."""
    return file.line()


@methods.of(OpenFile, names="readlines to_a", returns=list)
def readlines(file: OpenFile) -> list[Any]:
    """Return all lines."""
    return file.text.splitlines(keepends=True)


@methods.of(OpenFile, names="close")
def close(_file: OpenFile) -> None:
    """Do nothing: the file was closed when it had been read."""
    return
