"""String: edited copies, and the same with `!`, which change the receiver.

A method that changes its receiver returns the changed text and the value of the call; the compiler replaces the
receiver by the text.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from itertools import groupby
from typing import Any, Final

from logpipe.expression.methods.character_sets import character_set, translation
from logpipe.expression.methods.declaration import Methods
from logpipe.expression.runtime.arithmetic import integer_argument, string_argument
from logpipe.expression.runtime.failures import RubyError, check_size
from logpipe.expression.runtime.text import to_s
from logpipe.expression.runtime.values import Symbol

methods = Methods()

_BLANK: Final = "\t\n\v\f\r "
_BLANK_OR_NULL: Final = _BLANK + "\0"


def _edit(names: str) -> Callable[[Callable[..., str]], Callable[..., str]]:
    """Register an editing function, and under each name with `!` its changing form."""

    def add(change: Callable[..., str]) -> Callable[..., str]:
        @wraps(change)
        def in_place(text: str, *args: Any) -> tuple[str, str | None]:
            result = change(text, *args)
            return result, None if result == text else result

        methods.of(str, names=names, returns=str)(change)
        methods.of(str, names=" ".join(f"{name}!" for name in names.split()), mutates=True)(in_place)
        return change

    return add


@_edit("strip")
def strip(text: str) -> str:
    """Return the text without white space at both ends, nor NUL at the end."""
    return text.lstrip(_BLANK_OR_NULL).rstrip(_BLANK_OR_NULL)


@_edit("lstrip")
def strip_left(text: str) -> str:
    """Return the text without white space at its beginning."""
    return text.lstrip(_BLANK_OR_NULL)


@_edit("rstrip")
def strip_right(text: str) -> str:
    """Return the text without white space and NUL at its end."""
    return text.rstrip(_BLANK_OR_NULL)


@_edit("chomp")
def chomp(text: str, ending: Any = "\n") -> str:
    """Return the text without its last line break, or without another ending; "" removes all line breaks."""
    if ending is None:
        return text
    if ending == "\n":
        if text.endswith("\r\n"):
            return text[:-2]
        return text[:-1] if text.endswith(("\n", "\r")) else text
    if ending == "":
        while text.endswith("\n"):
            text = text[:-2] if text.endswith("\r\n") else text[:-1]
        return text
    return text.removesuffix(string_argument(ending))


@_edit("chop")
def chop(text: str) -> str:
    """Return the text without its last character; a CR LF counts as one."""
    return text[:-2] if text.endswith("\r\n") else text[:-1]


@_edit("squeeze")
def squeeze(text: str, *sets: Any) -> str:
    """Return the text with runs of one character cut to one, of all characters or of a set's."""
    member = character_set(sets) if sets else lambda _: True
    return "".join(char if member(char) else char * len(list(run)) for char, run in groupby(text))


@_edit("delete")
def delete(text: str, *sets: Any) -> str:
    """Return the text without the characters that belong to all of the sets.

    Raises:
        RubyError: no set is given (ArgumentError).
    """
    member = character_set(sets)
    return "".join(char for char in text if not member(char))


@_edit("tr")
def translate(text: str, source: Any, target: Any) -> str:
    """Return the text with each character of one set replaced by its counterpart in another."""
    found = translation(string_argument(source), string_argument(target))
    return "".join(char if (other := found(char)) is None else other for char in text)


@_edit("tr_s")
def translate_squeezed(text: str, source: Any, target: Any) -> str:
    """Translate, and cut runs of one replacement to one."""
    found = translation(string_argument(source), string_argument(target))
    written: list[str] = []
    last: str | None = None
    for char in text:
        other = found(char)
        if other is None or other != last:
            written.append(char if other is None else other)
        last = other
    return "".join(written)


@_edit("delete_prefix")
def delete_prefix(text: str, prefix: Any) -> str:
    """Return the text without a prefix."""
    return text.removeprefix(string_argument(prefix))


@_edit("delete_suffix")
def delete_suffix(text: str, suffix: Any) -> str:
    """Return the text without a suffix."""
    return text.removesuffix(string_argument(suffix))


@_edit("reverse")
def reverse(text: str) -> str:
    """Return the characters from last to first."""
    return text[::-1]


@_edit("succ next")
def successor(text: str) -> str:
    """Return the next text in Ruby's order: `ba` for `az`, `b0` for `a9`."""
    chars = list(text)
    counted = [place for place, char in enumerate(chars) if char.isascii() and char.isalnum()]
    if not counted:
        return text[:-1] + chr(min(ord(text[-1]) + 1, 0x10FFFF)) if text else ""
    for place in reversed(counted):
        char = chars[place]
        if char not in "z9Z":
            chars[place] = chr(ord(char) + 1)
            return "".join(chars)
        chars[place] = {"z": "a", "Z": "A", "9": "0"}[char]
    first = counted[0]
    chars.insert(first, {"a": "a", "A": "A", "0": "1"}[chars[first]])
    return "".join(chars)


def _padding(text: str, width: Any, pad: Any) -> tuple[int, str]:
    missing = integer_argument(width) - len(text)
    filler = string_argument(pad)
    if not filler:
        raise RubyError("ArgumentError", "zero width padding")
    check_size(max(0, missing))
    return max(0, missing), filler


def _repeated(filler: str, length: int) -> str:
    return (filler * (length // len(filler) + 1))[:length]


@methods.of(str, names="ljust", returns=str)
def justify_left(text: str, width: Any, pad: Any = " ") -> str:
    """Return the text padded on the right."""
    missing, filler = _padding(text, width, pad)
    return text + _repeated(filler, missing)


@methods.of(str, names="rjust", returns=str)
def justify_right(text: str, width: Any, pad: Any = " ") -> str:
    """Return the text padded on the left."""
    missing, filler = _padding(text, width, pad)
    return _repeated(filler, missing) + text


@methods.of(str, names="center", returns=str)
def center(text: str, width: Any, pad: Any = " ") -> str:
    """Return the text padded on both sides, the odd character on the right."""
    missing, filler = _padding(text, width, pad)
    return _repeated(filler, missing // 2) + text + _repeated(filler, missing - missing // 2)


def _joined(*parts: str) -> str:
    check_size(sum(map(len, parts)))
    return "".join(parts)


@methods.of(str, names="<<", mutates=True)
def append(text: str, other: Any) -> tuple[str, str]:
    """Add to the end; a number is the character of that number."""
    result = _joined(text, chr(other) if type(other) is int and 0 <= other <= 0x10FFFF else string_argument(other))
    return result, result


@methods.of(str, names="concat append_as_bytes", mutates=True)
def concat(text: str, *others: Any) -> tuple[str, str]:
    """Add several to the end."""
    for other in others:
        text, _ = append(text, other)
    return text, text


@methods.of(str, names="prepend", mutates=True)
def prepend(text: str, *others: Any) -> tuple[str, str]:
    """Add to the beginning."""
    result = _joined(*map(string_argument, others), text)
    return result, result


@methods.of(str, names="insert", mutates=True)
def insert(text: str, place: Any, other: Any) -> tuple[str, str]:
    """Add before a place, or after one that is counted from the end.

    Raises:
        RubyError: the text is shorter (IndexError).
    """
    position = integer_argument(place)
    position = position + len(text) + 1 if position < 0 else position
    if not 0 <= position <= len(text):
        raise RubyError("IndexError", f"index {place} out of string")
    result = _joined(text[:position], string_argument(other), text[position:])
    return result, result


@methods.of(str, names="replace initialize_copy", mutates=True)
def replace(_text: str, other: Any) -> tuple[str, str]:
    """Put another text in its place."""
    result = string_argument(other)
    return result, result


@methods.of(str, names="clear", mutates=True)
def clear(_text: str) -> tuple[str, str]:
    """Empty it."""
    return "", ""


@methods.of(Symbol, names="succ next", returns=Symbol)
def symbol_successor(symbol: Symbol) -> Symbol:
    """Return the next symbol in Ruby's order."""
    return Symbol.of(successor(symbol.name))


@methods.of(Symbol, names="name id2name", returns=str)
def symbol_name(symbol: Symbol) -> str:
    """Return the name."""
    return to_s(symbol)
