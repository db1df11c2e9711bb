"""Typographic quotes where a quote was meant: in tags' patterns and in names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from logpipe.config.diagnostic import Position, Report, warning
from logpipe.config.element import Element
from logpipe.config.quotes import TYPOGRAPHIC_QUOTES

HINT: Final = "write \" or ' to quote"


def lint_quotes(elements: Iterable[Element], report: Report) -> None:
    """Report the arguments and names of parameters that hold such quotes; those of values are found when read."""
    for element in elements:
        _lint(element.arg, f"the argument of {element.title}", element.arg_position, report)
        for param in element.params.values():
            _lint(param.name, f'the name "{param.name}"', param.position, report)
        lint_quotes(element.elements, report)


def _lint(text: str, what: str, place: Position, report: Report) -> None:
    found = next((char for char in text if char in TYPOGRAPHIC_QUOTES), None)
    if found is not None:
        message = f"{found} is a typographic quote and becomes part of {what}"
        report(warning("typographic-quotes", message, place, HINT))
