"""Reading a text to its end whatever is wrong with it."""

from __future__ import annotations

from typing import Final

from lark import UnexpectedInput

from logpipe.config.balance import balance_tags
from logpipe.config.diagnostic import Position, Report, error
from logpipe.config.mistakes import Mistake, explain, stop_of
from logpipe.config.syntax import Node, Section, parse_nodes
from logpipe.config.tables import Grammar

MAX_MISTAKES: Final = 20
"""After so many the rest of the file is not read: one more pass over the text costs time, and patience."""

MAX_LENGTH: Final = 1 << 20
"""Characters; a longer text is not read again for what else is wrong with it: it takes some seconds each time."""


def read_nodes(text: str, grammar: Grammar, file: str, report: Report) -> list[Node]:
    """Return a text's nodes and report its mistakes; with mistakes, the nodes are those of the text without them.

    Takes a time linear in the length of the text.
    """
    known, last_line = 0, text.count("\n") + 1
    while known < MAX_MISTAKES:
        nodes, found, mended = _attempt(text, grammar)
        for mistake in found[: MAX_MISTAKES - known]:
            line, column = _line_and_column(text, mistake.offset)
            # mending may have added end tags below the last line
            place = Position(file, min(line, last_line), column)
            report(error(mistake.code, mistake.message, place, mistake.hint))
        if not found or mended == text:
            return nodes
        if len(text) > MAX_LENGTH:
            break
        known += len(found)
        text = mended
    return []


def _attempt(text: str, grammar: Grammar) -> tuple[list[Node], list[Mistake], str]:
    """Return the nodes, or the next mistakes and the text without them."""
    try:
        nodes = parse_nodes(text, grammar)
    except UnexpectedInput as problem:
        stop = stop_of(problem, text)
        if "OPEN" in stop.expected and (stop.at_end or text.startswith("</", stop.offset)):
            found, mended = balance_tags(text, end_closes=grammar == "v0")
            if found:
                return [], found, mended
        mistake, mended = explain(stop)
        return [], [mistake], mended
    if all(node.sound for node in nodes if isinstance(node, Section)):
        return nodes, [], text
    found, mended = balance_tags(text, end_closes=grammar == "v0")
    return nodes, found, mended


def _line_and_column(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
