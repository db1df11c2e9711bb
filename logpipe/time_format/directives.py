"""Splits a time format such as `%Y-%m-%d` into directives and literal text."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Final, TypeAlias

MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
WEEKDAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
"""From Sunday on, as in `%w`."""

COMPOSITES: Final = {
    "c": "%a %b %e %H:%M:%S %Y",
    "D": "%m/%d/%y",
    "x": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "T": "%H:%M:%S",
    "X": "%H:%M:%S",
    "R": "%H:%M",
    "r": "%I:%M:%S %p",
    "v": "%e-%^b-%Y",
}
"""The directives that stand for several; the flag in the last counts only where a time is written."""

_DIRECTIVE: Final = re.compile(
    r"%(?P<flags>[-0^#_]*)(?P<width>\d*)(?P<colons>:{0,3})(?P<locale>[EO]?)(?P<letter>[A-Za-z%+])", re.ASCII
)
_LOCALE_LETTERS: Final = {"E": "cCxXyY", "O": "deHkIlmMSuUVwWy"}


@dataclass(frozen=True, slots=True)
class Directive:
    """One `%…` of a format: `%-3N` has the letter N, the flag `-` and the width 3; `%:z` has one colon."""

    letter: str
    flags: str = ""
    width: int | None = None
    colons: int = 0


Token: TypeAlias = str | Directive
"""A directive, or literal text."""


def split(pattern: str, known: Container[str]) -> list[Token]:
    """Return a format's directives and the text between them, in order.

    A directive whose letter is not `known` is literal text, as in Ruby.
    """
    tokens: list[Token] = []
    text, position = "", 0
    for found in _DIRECTIVE.finditer(pattern):
        directive = _directive(found, known)
        text += pattern[position : found.start()] + ("" if directive else found[0])
        position = found.end()
        if directive is None:
            continue
        if text:
            tokens.append(text)
            text = ""
        tokens.append(directive)
    text += pattern[position:]
    return [*tokens, text] if text else tokens


def _directive(found: re.Match[str], known: Container[str]) -> Directive | None:
    letter, locale, colons = found["letter"], found["locale"], found["colons"]
    if letter not in known or (colons and letter != "z"):
        return None
    if locale and letter not in _LOCALE_LETTERS[locale]:
        return None
    width = int(found["width"]) if found["width"] else None
    return Directive(letter, found["flags"], width, len(colons))
