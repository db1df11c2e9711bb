"""The little language of `tr`, `delete`, `count` and `squeeze`: `a-z`, `^0-9`, with backslashes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from logpipe.expression.arithmetic import string_argument
from logpipe.expression.failures import RubyError


@lru_cache(maxsize=256)
def expand(text: str) -> tuple[bool, str]:
    """Return whether a set is negated, and its characters in order, ranges written out.

    Raises:
        RubyError: a range runs backwards (ArgumentError).
    """
    negated = len(text) > 1 and text.startswith("^")
    chars: list[str] = []
    position = 1 if negated else 0
    while position < len(text):
        char, position = _char(text, position)
        if text.startswith("-", position) and position + 1 < len(text):
            last, position = _char(text, position + 1)
            if last < char:
                raise RubyError("ArgumentError", f'invalid range "{char}-{last}" in string transliteration')
            chars.extend(map(chr, range(ord(char), ord(last) + 1)))
        else:
            chars.append(char)
    return negated, "".join(chars)


def _char(text: str, position: int) -> tuple[str, int]:
    if text[position] == "\\" and position + 1 < len(text):
        return text[position + 1], position + 2
    return text[position], position + 1


def character_set(sets: tuple[Any, ...]) -> Callable[[str], bool]:
    """Return whether a character belongs to all of the sets.

    Raises:
        RubyError: no set is given (ArgumentError).
    """
    if not sets:
        raise RubyError("ArgumentError", "wrong number of arguments (given 0, expected 1+)")
    tests = [_test(*expand(string_argument(chars))) for chars in sets]
    return tests[0] if len(tests) == 1 else lambda char: all(test(char) for test in tests)


def _test(negated: bool, chars: str) -> Callable[[str], bool]:  # noqa: FBT001 - what `expand` returns
    members = frozenset(chars)
    return (lambda char: char not in members) if negated else members.__contains__


@lru_cache(maxsize=256)
def translation(source: str, target: str) -> Callable[[str], str | None]:
    """Return what `tr` puts in place of a character; None where the character stays as it is."""
    negated, chars = expand(source)
    _, replacements = expand(target)
    if negated:
        kept, last = frozenset(chars), replacements[-1:]
        return lambda char: None if char in kept else last
    filled = replacements.ljust(len(chars), replacements[-1:] or "\0")
    table: dict[str, str] = {}
    for place, char in enumerate(chars):
        table.setdefault(char, filled[place] if replacements else "")
    return table.get
