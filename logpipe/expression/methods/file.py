"""File: the functions on paths as text; the compiler refuses those that access the disk.

The open file of embedded code is here, too; its text was read before.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from logpipe.expression.methods.declaration import Methods
from logpipe.expression.runtime.arithmetic import string_argument
from logpipe.expression.runtime.failures import RubyError
from logpipe.expression.runtime.text import to_s

methods = Methods()


class OpenFile:
    """The block's argument in `File.open(path) do |f| … end`: the file's text, already read."""

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


@methods.function("File", names="basename", returns=str)
def basename(path: Any, suffix: Any = "") -> str:
    """Return the last part of a path, without a suffix; `.*` is any suffix."""
    name = posixpath.basename(string_argument(path).rstrip("/")) or ("/" if path.startswith("/") else "")
    if suffix == ".*":
        return name[: len(name) - len(extname(name))] if extname(name) else name
    return name.removesuffix(string_argument(suffix)) if name != suffix else name


@methods.function("File", names="dirname", returns=str)
def dirname(path: Any, _levels: Any = 1) -> str:
    """Return a path without its last part."""
    return posixpath.dirname(string_argument(path).rstrip("/")) or ("/" if path.startswith("/") else ".")


@methods.function("File", names="extname", returns=str)
def extname(path: Any) -> str:
    """Return the suffix of a path's last part, with its dot."""
    return posixpath.splitext(posixpath.basename(string_argument(path)))[1]


@methods.function("File", names="join", returns=str)
def join(*parts: Any) -> str:
    """Return the parts with one slash between them."""
    flat = [to_s(item) for part in parts for item in (part if isinstance(part, list) else [part])]
    joined = flat[0] if flat else ""
    for part in flat[1:]:
        joined = f"{joined.rstrip('/')}/{part.lstrip('/')}"
    return re.sub(r"//+$", "/", joined)


@methods.function("File", names="split", returns=list)
def split(path: Any) -> list[str]:
    """Return a path without its last part, and that part."""
    return [dirname(path), basename(path)]


@methods.function("File", names="fnmatch fnmatch?", returns=bool)
def fnmatch(pattern: Any, path: Any, _flags: Any = 0) -> bool:
    """Return whether a path matches a pattern with `*`, `?` and `[…]`."""
    from fnmatch import fnmatchcase  # noqa: PLC0415 - rarely used

    return fnmatchcase(string_argument(path), string_argument(pattern))
