"""The character sets of `tr`, `delete`, `count` and `squeeze`: `a-z`, `^0-9`, with backslashes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from logpipe.expression.runtime.arithmetic import string_argument
from logpipe.expression.runtime.failures import RubyError


class _Span(NamedTuple):
    """Characters from one to another, and the place of the first among all."""

    first: int
    last: int
    place: int


class _Chars:
    r"""A set stored as spans, which are never expanded: `\\u{80}-\\u{10ffff}` has a million members."""

    __slots__ = ("negated", "size", "spans")

    def __init__(self, text: str) -> None:
        self.negated = len(text) > 1 and text.startswith("^")
        self.spans: list[_Span] = []
        self.size = 0
        position = 1 if self.negated else 0
        while position < len(text):
            char, position = _char(text, position)
            last = char
            if text.startswith("-", position) and position + 1 < len(text):
                last, position = _char(text, position + 1)
                if last < char:
                    raise RubyError("ArgumentError", f'invalid range "{char}-{last}" in string transliteration')
            self.spans.append(_Span(ord(char), ord(last), self.size))
            self.size += ord(last) - ord(char) + 1

    def place(self, char: str) -> int | None:
        """Return a character's place among all, None where it is not in the set."""
        number = ord(char)
        for span in self.spans:
            if span.first <= number <= span.last:
                return span.place + number - span.first
        return None

    def at(self, place: int) -> str:
        """Return the character at a place, the last one beyond."""
        place = min(place, self.size - 1)
        span = next(span for span in self.spans if place <= span.place + span.last - span.first)
        return chr(span.first + place - span.place)

    def __contains__(self, char: str) -> bool:
        return (self.place(char) is None) is self.negated


def _char(text: str, position: int) -> tuple[str, int]:
    if text[position] == "\\" and position + 1 < len(text):
        return text[position + 1], position + 2
    return text[position], position + 1


@lru_cache(maxsize=256)
def _set(text: str) -> _Chars:
    return _Chars(text)


def character_set(sets: tuple[Any, ...]) -> Callable[[str], bool]:
    """Return whether a character belongs to all of the sets.

    Raises:
        RubyError: no set is given, or a range runs backwards (ArgumentError).
    """
    if not sets:
        raise RubyError("ArgumentError", "wrong number of arguments (given 0, expected 1+)")
    members = [_set(string_argument(chars)) for chars in sets]
    return members[0].__contains__ if len(members) == 1 else lambda char: all(char in chars for chars in members)


@lru_cache(maxsize=256)
def translation(source: str, target: str) -> Callable[[str], str | None]:
    """Return the replacement of a character by `tr`; None where it is not replaced.

    Raises:
        RubyError: a range runs backwards (ArgumentError).
    """
    chars, replacements = _set(source), _set(target)

    def found(char: str) -> str | None:
        place = chars.place(char)
        if chars.negated:
            place = replacements.size - 1 if place is None else None
        if place is None:
            return None
        return replacements.at(place) if replacements.size else ""

    return found
