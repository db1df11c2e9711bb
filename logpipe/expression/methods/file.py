"""The open file of embedded code: its text was read before, nothing here touches a disk."""

from __future__ import annotations

from typing import Any

from logpipe.expression.embedded import OpenFile
from logpipe.expression.methods.registry import method


@method(OpenFile, names="read", returns=str)
def read(file: OpenFile) -> str:
    """Return the whole text."""
    return file.text


@method(OpenFile, names="readline gets first", returns=str)
def readline(file: OpenFile) -> str:
    """Return the next line."""
    return file.line()


@method(OpenFile, names="readlines to_a", returns=list)
def readlines(file: OpenFile) -> list[Any]:
    """Return all lines."""
    return file.text.splitlines(keepends=True)


@method(OpenFile, names="close")
def close(_file: OpenFile) -> None:
    """Do nothing: the file was closed when it had been read."""
    return
