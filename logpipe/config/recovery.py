"""Parses a text to its end in spite of syntax errors, section tags without their counterpart among them."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

from lark import UnexpectedInput

from logpipe.config.diagnostic import Position, Report, error
from logpipe.config.syntax import Node, Section, parse_nodes
from logpipe.config.syntax_errors import SyntaxIssue, explain, line_end, open_tag, stop_of
from logpipe.config.tables import Grammar

_TAG: Final = re.compile(r"(?:^|(?<=\r))[ \t]*(?P<tag><(?P<slash>/?)(?P<name>[a-zA-Z0-9_]+)[^\r\n]*)", re.MULTILINE)
_CLOSED_BELOW: Final = re.compile(r"\s*>")


@dataclass(frozen=True, slots=True)
class _Tag:
    name: str
    offset: int
    line: int
    title: str


class _Balance:
    """Walks over the tags at the beginning of lines; collects issues, and changes that balance the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.issues: list[SyntaxIssue] = []
        self._changes: list[tuple[int, int, str]] = []
        self._open: list[_Tag] = []
        self._names: Counter[str] = Counter()

    def walk(self) -> None:
        line, counted = 1, 0
        for found in _TAG.finditer(self.text):
            offset = found.start("tag")
            line, counted = line + self.text.count("\n", counted, offset), offset
            tag = _Tag(found["name"], offset, line, found["tag"].split(">")[0].strip() + ">")
            if not found["slash"]:
                self._open.append(tag)
                self._names[tag.name] += 1
            elif self._open and self._open[-1].name == tag.name:
                self._pop()
            else:
                self._unmatched(tag)

    def _unmatched(self, tag: _Tag) -> None:
        if self._names[tag.name]:
            self._close_inner(tag)
        elif self._open and _resembles(self._open[-1].name, tag.name):
            section = self._pop()
            message = f"the end tag </{tag.name}> does not match {section.title} of line {section.line}"
            self._note("unmatched-tag", message, tag.offset, f"write </{section.name}>")
            self._changes.append((tag.offset, tag.offset + len(tag.name) + 2, f"</{section.name}"))
        else:
            hint = f"remove it, or add the missing <{tag.name}> above"
            self._note("unmatched-tag", f"the end tag </{tag.name}> closes nothing", tag.offset, hint)
            self._changes.append((tag.offset, line_end(self.text, tag.offset), ""))

    def _close_inner(self, tag: _Tag) -> None:
        while (section := self._pop()).name != tag.name:
            message = f"the section {section.title} is not closed before </{tag.name}> on line {tag.line}"
            self._note("unclosed-section", message, section.offset, f"add </{section.name}> above line {tag.line}")
            # a carriage return ends a line of configuration without moving the lines below
            self._changes.append((tag.offset, tag.offset, f"</{section.name}>\r"))

    def _pop(self) -> _Tag:
        section = self._open.pop()
        self._names[section.name] -= 1
        return section

    def close_rest(self) -> None:
        """Close the sections that are open at the end of the file."""
        for section in reversed(self._open):
            hint = f"add </{section.name}> where it should end"
            self._note("unclosed-section", f"the section {section.title} is never closed", section.offset, hint)
            self._changes.append((len(self.text), len(self.text), f"\n</{section.name}>\n"))

    def _note(self, code: str, message: str, offset: int, hint: str) -> None:
        self.issues.append(SyntaxIssue(code, message, offset, hint))

    def balanced(self) -> str:
        """Return the text with all tags balanced."""
        pieces, done = [], 0
        for start, end, new in self._changes:
            pieces += [self.text[done:start], new or " " * (end - start)]
            done = end
        return "".join([*pieces, self.text[done:]])


def _resembles(name: str, other: str) -> bool:
    if max(len(name), len(other)) > 50:
        return False
    return difflib.SequenceMatcher(None, name, other).ratio() >= 0.7


def balance_tags(text: str, *, end_closes: bool) -> tuple[list[SyntaxIssue], str]:
    """Return the issues of the tags of `text`, and the text with all tags balanced.

    With `end_closes` the end of the file closes open sections, as in dialect v0.
    """
    for found in _TAG.finditer(text):
        if ">" not in found["tag"] and not _CLOSED_BELOW.match(text, found.end()):
            issue, corrected = open_tag(text, found.start("tag"))
            return [issue], corrected
    tags = _Balance(text)
    tags.walk()
    if not end_closes:
        tags.close_rest()
    return tags.issues, tags.balanced()


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
