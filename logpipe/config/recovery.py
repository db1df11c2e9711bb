"""Parses a text to its end in spite of syntax errors."""

from __future__ import annotations

from typing import Final

from lark import UnexpectedInput

from logpipe.config.balance import balance_tags
from logpipe.config.diagnostic import Position, Report, error
from logpipe.config.syntax import Node, Section, parse_nodes
from logpipe.config.syntax_errors import SyntaxIssue, explain, stop_of
from logpipe.config.tables import Grammar

MAX_ISSUES: Final = 20
"""After so many the rest of the file is not read: each takes one more pass over the text."""

MAX_LENGTH: Final = 1 << 20
"""Characters; a longer text gets one pass only, since each takes some seconds."""


def read_nodes(text: str, grammar: Grammar, file: str, report: Report) -> list[Node]:
    """Return a text's nodes and report its syntax errors; the nodes are those of the text without the errors.

    The time is linear in the length of the text.
    """
    known, last_line = 0, text.count("\n") + 1
    while known < MAX_ISSUES:
        nodes, found, corrected = _attempt(text, grammar)
        for issue in found[: MAX_ISSUES - known]:
            line, column = _line_and_column(text, issue.offset)
            # corrections may have added end tags below the last line
            place = Position(file, min(line, last_line), column)
            report(error(issue.code, issue.message, place, issue.hint))
        if not found or corrected == text:
            return nodes
        if len(text) > MAX_LENGTH:
            break
        known += len(found)
        text = corrected
    return []


def _attempt(text: str, grammar: Grammar) -> tuple[list[Node], list[SyntaxIssue], str]:
    """Return the nodes, or the next issues and the text without them."""
    try:
        nodes = parse_nodes(text, grammar)
    except UnexpectedInput as problem:
        stop = stop_of(problem, text)
        if "OPEN" in stop.expected and (stop.at_end or text.startswith("</", stop.offset)):
            found, corrected = balance_tags(text, end_closes=grammar == "v0")
            if found:
                return [], found, corrected
        issue, corrected = explain(stop)
        return [], [issue], corrected
    if all(node.sound for node in nodes if isinstance(node, Section)):
        return nodes, [], text
    found, corrected = balance_tags(text, end_closes=grammar == "v0")
    return nodes, found, corrected


def _line_and_column(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
