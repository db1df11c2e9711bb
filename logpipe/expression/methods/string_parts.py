"""String: its characters, lines and bytes one by one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from logpipe.expression.methods.declaration import Methods
from logpipe.expression.methods.members import text_range
from logpipe.expression.methods.string import decoded, encoded
from logpipe.expression.runtime.arithmetic import integer_argument, string_argument
from logpipe.expression.runtime.failures import BUDGET
from logpipe.expression.runtime.indexing import array_part
from logpipe.expression.runtime.values import Enumerator, Range

methods = Methods()

_PARAGRAPH: Final = re.compile(r"(?s).+?(?:\n{2,}|\Z)")


def _each(values: list[Any], receiver: str, block: Callable[[Any], Any] | None) -> Any:
    if block is None:
        return Enumerator(values, "each", receiver)
    for value in values:
        BUDGET.spend()
        block(value)
    return receiver


@methods.of(str, names="chr", returns=str)
def first_character(text: str) -> str:
    """Return the first character."""
    return text[:1]


@methods.of(str, names="chars", returns=list)
def characters(text: str) -> list[str]:
    """Return the characters."""
    BUDGET.spend(len(text) // 16)
    return list(text)


@methods.of(str, names="each_char")
def each_character(text: str, block: Callable[[Any], Any] | None = None) -> Any:
    """Pass each character to the block."""
    return _each(list(text), text, block)


@methods.of(str, names="bytes", returns=list)
def byte_list(text: str) -> list[int]:
    """Return the bytes as numbers."""
    return list(encoded(text))


@methods.of(str, names="each_byte")
def each_byte(text: str, block: Callable[[Any], Any] | None = None) -> Any:
    """Pass each byte to the block."""
    return _each(byte_list(text), text, block)


@methods.of(str, names="codepoints", returns=list)
def codepoints(text: str) -> list[int]:
    """Return the characters' numbers."""
    return [ord(char) for char in text]


@methods.of(str, names="lines", returns=list)
def lines(text: str, separator: Any = "\n", options: Any = None) -> list[str]:
    """Return the lines with their line breaks, or without them for `chomp: true`."""
    if isinstance(separator, dict):
        separator, options = "\n", separator
    if separator is None:
        return [text] if text else []
    ending = string_argument(separator)
    if not ending:  # paragraphs: any number of line breaks ends one, two of them stay
        return [part if part[-1] != "\n" else part.rstrip("\n") + "\n\n" for part in _PARAGRAPH.findall(text)]
    pieces = text.split(ending)
    chomp = isinstance(options, dict) and True in options.values()
    found = [piece + ("" if chomp else ending) for piece in pieces[:-1]]
    return [*found, pieces[-1]] if pieces[-1] else found


@methods.of(str, names="each_line")
def each_line(text: str, separator: Any = "\n", block: Callable[[Any], Any] | None = None) -> Any:
    """Pass each line to the block."""
    return _each(lines(text, separator), text, block)


@methods.of(str, names="getbyte")
def byte_at(text: str, place: Any) -> int | None:
    """Return one byte, nil outside."""
    data = encoded(text)
    position = integer_argument(place)
    return data[position] if -len(data) <= position < len(data) else None


@methods.of(str, names="byteslice")
def byte_slice(text: str, start: Any, length: Any = None) -> str | None:
    """Return a byte or a part counted in bytes, nil outside."""
    if length is None and not isinstance(start, Range):
        byte = byte_at(text, start)
        return None if byte is None else decoded(bytes([byte]))
    part = array_part(list(encoded(text)), start, length)
    return None if part is None else decoded(bytes(part))


@methods.of(str, names="upto")
def up_to(text: str, last: Any, block: Callable[[Any], Any] | None = None) -> Any:
    """Pass each text from this one up to `last` to the block."""
    return _each(text_range(text, string_argument(last), exclusive=False), text, block)
