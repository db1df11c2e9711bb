"""Explains a syntax error from the state of the parser where it stopped.

Each explanation comes with a corrected text, in which that error is gone and every other character keeps its line, so
that parsing can go on and one run finds all errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from lark import Token, UnexpectedInput, UnexpectedToken

from logpipe.config.diagnostic import TYPOGRAPHIC_QUOTES

_LINE_BREAK: Final = re.compile(r"[\r\n]")
_JSON_LINES: Final = frozenset('"[]{},:#-0123456789') | {""}
"""The characters that a line of JSON may begin with."""

_AS_TEXT: Final = "a value that starts with [ or { is read as JSON: put it in single quotes to keep it as text"


@dataclass(frozen=True, slots=True)
class SyntaxIssue:
    """One syntax error in a text; `offset` is its place."""

    code: str
    message: str
    offset: int
    hint: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Where the parser stopped: the terminals it would have accepted, and the tokens of its unfinished rules."""

    text: str
    offset: int
    expected: AbstractSet[str]
    stack: list[Token]

    @property
    def at_end(self) -> bool:
        """Whether the text ended too early."""
        return not self.text[self.offset :].strip()

    @property
    def char(self) -> str:
        """The unexpected character; a line feed at the end of the text."""
        return self.text[self.offset : self.offset + 1] or "\n"

    def last(self, *kinds: str) -> Token:
        """Return the innermost unfinished token of these kinds; callers make sure that there is one."""
        return next(token for token in reversed(self.stack) if token.type in kinds)

    @property
    def in_json(self) -> bool:
        """Whether a JSON value is unfinished."""
        in_value = any(token.type == "_SEP" for token in self.stack)
        return in_value and "_EOL" not in self.expected and self.value_start().type in {"LIST_BEGIN", "OBJECT_BEGIN"}

    def value_start(self) -> Token:
        """Return the token that the unfinished value begins with."""
        before = next(at for at in reversed(range(len(self.stack))) if self.stack[at].type == "_SEP")
        return self.stack[before + 1]

    def word(self) -> str:
        """Return the unexpected text for a message: up to the end of the line, not too long."""
        rest = self.text[self.offset : line_end(self.text, self.offset)].strip()
        return rest if len(rest) <= 30 else f"{rest[:29]}…"


def stop_of(problem: UnexpectedInput, text: str) -> Stop:
    """Return where parsing `text` stopped."""
    stack = [item for item in problem.state.value_stack if isinstance(item, Token)]
    if not isinstance(problem, UnexpectedToken):
        return Stop(text, problem.pos_in_stream or 0, problem.allowed, stack)  # type: ignore[attr-defined]  # only this kind has it
    ended = problem.token.type == "$END"
    return Stop(text, len(text) if ended else problem.token.start_pos or 0, problem.expected, stack)


def explain(stop: Stop) -> tuple[SyntaxIssue, str]:
    """Return the error, which is not one of unbalanced tags, and the text without it."""
    return next(explanation for known, explanation in _EXPLANATIONS if known(stop))(stop)


_MISSING_BRACE: Final = re.compile(
    r"""(#\{(?:[^'"\[\](){}]|'[^']*'|\[[^\[\](){}"]*\]|\([^\[\](){}"]*\))*+)[^"}]*"\s*(?:#.*)?$"""
)
"""Code of which only the closing brace is missing, followed by the closing quote of the value."""


def _in_code(stop: Stop) -> tuple[SyntaxIssue, str]:
    begin = stop.last("CODE_BEGIN")
    hint = "close every quote, bracket and brace inside #{…}"
    start = _start(begin)
    if missing := _MISSING_BRACE.match(stop.text[start : line_end(stop.text, start)]):
        hint = f"the }} is missing: write {missing[1]}}}"
    elif stop.char == "#":
        hint = "a # outside quotes starts a comment in Ruby: put the text in quotes of its own"
    return SyntaxIssue("open-code", "the code after #{ is never closed with }", start, hint), _without(stop, begin)


def _in_quotes(stop: Stop) -> tuple[SyntaxIssue, str]:
    quote = stop.last("QUOTE")
    if stop.at_end:
        issue = SyntaxIssue("open-quote", 'the quote " is never closed', _start(quote), 'add " where the text ends')
    elif stop.text[stop.offset - 1] == "\r":
        hint = "write \\n in place of the line break, or save the file with Unix line ends"
        issue = SyntaxIssue("line-break", "a quoted text cannot go on after CR LF", stop.offset - 1, hint)
    else:
        hint = f'write \\n for a line break; or add the missing " on line {quote.line}'
        issue = SyntaxIssue("line-break", "a quoted text cannot have an empty line", stop.offset, hint)
    return issue, _without(stop, quote)


def _in_single_quotes(stop: Stop) -> tuple[SyntaxIssue, str]:
    hint = "add ' where the text ends; a text over several lines needs double quotes"
    return SyntaxIssue("open-quote", "the quote ' is not closed on its line", stop.offset, hint), _without(stop)


def _in_json_text(stop: Stop) -> tuple[SyntaxIssue, str]:
    quote = stop.last("QUOTE")
    if stop.char in "\r\n":
        issue = SyntaxIssue("open-quote", 'the quote " is not closed on its line', _start(quote), 'add " where it ends')
    elif stop.char == "\\":
        issue = SyntaxIssue("bad-json", "\\u in JSON needs four hexadecimal digits", stop.offset, "write \\u00e9, or é")
    else:
        message = f"the control character {stop.char!r} cannot stand in a JSON text"
        issue = SyntaxIssue("bad-json", message, stop.offset, "write a tab as \\t, others as \\u and four digits")
    return issue, _without_json(stop)


def _in_json(stop: Stop) -> tuple[SyntaxIssue, str]:
    begin = stop.last("LIST_BEGIN", "OBJECT_BEGIN")
    bracket = "]" if begin.type == "LIST_BEGIN" else "}"
    if stop.at_end:
        issue = SyntaxIssue("bad-json", f"the JSON value is never closed with {bracket}", _start(begin), _AS_TEXT)
        return issue, _without_json(stop)
    if stop.char in "]}" and stop.text[: stop.offset].rstrip().endswith(","):
        message = f"this is not JSON: a comma before {stop.char}"
        return SyntaxIssue("bad-json", message, stop.offset, "remove the comma"), _without_json(stop)
    if "COLON" in stop.expected:
        wanted = ":"
    elif "NEXT" in stop.expected:
        wanted = f", or {bracket}"
    else:
        wanted = "a value" if "NUMBER" in stop.expected else "a name in double quotes"
    message = f"this is not JSON: expected {wanted}, found {stop.word() or 'the end of the line'}"
    hint = _AS_TEXT
    if stop.char in TYPOGRAPHIC_QUOTES:
        hint = f'{stop.char} is a typographic quote: write "'
    elif not stop.word():
        hint = f"add {wanted} here, or put the whole value in single quotes to keep it as text"
    return SyntaxIssue("bad-json", message, stop.offset, hint), _without_json(stop)


def _in_tag(stop: Stop) -> tuple[SyntaxIssue, str]:
    tag = stop.last("OPEN", "CLOSE")
    end = line_end(stop.text, _start(tag))
    if stop.offset >= end:
        return open_tag(stop.text, _start(tag))
    message = f"unexpected {stop.word()} in the tag {tag}>"
    hint = "put the whole argument in one pair of quotes"
    if tag.type == "CLOSE":
        hint = "an end tag holds a section's name of letters, digits and _, nothing else"
    close = stop.text.find(">", stop.offset, end)
    corrected = blank(stop.text, stop.offset, close) if close > 0 else f"{stop.text[:end]}>{stop.text[end:]}"
    return SyntaxIssue("bad-tag", message, stop.offset, hint), corrected


def open_tag(text: str, start: int) -> tuple[SyntaxIssue, str]:
    """Return the issue of a tag that has no `>` on its line, and the text with one."""
    line = text[start : line_end(text, start)]
    tag = line.split(" #")[0].rstrip()
    at = start + len(tag)
    corrected = f"{text[:at]}>{text[at + (len(tag) < len(line)) :]}"
    return SyntaxIssue("open-tag", f"the tag {tag} is never closed with >", start, f"write {tag}>"), corrected


def _after_tag(stop: Stop) -> tuple[SyntaxIssue, str]:
    tag = stop.last("OPEN", "CLOSE")
    message = f"unexpected {stop.word()} after {stop.text[_start(tag) : stop.offset].strip()}"
    issue = SyntaxIssue("text-after-tag", message, _past_blanks(stop), "start a new line after >")
    return issue, blank(stop.text, stop.offset, line_end(stop.text, stop.offset))


def _after_value(stop: Stop) -> tuple[SyntaxIssue, str]:
    begin = stop.value_start()
    if begin.type == "QUOTE" and "\n" in stop.text[_start(begin) : stop.offset]:
        hint = f'the text now ends on line {stop.last("QUOTE").line}, before {stop.word()}: add " where it should end'
        return SyntaxIssue("open-quote", 'the quote " is not closed on its line', _start(begin), hint), _without(
            stop, begin
        )
    what, hint = "quoted value", "put single quotes around the whole value to keep the quotes in it"
    if begin.type in {"LIST_BEGIN", "OBJECT_BEGIN"}:
        what, hint = "JSON value", _AS_TEXT
    issue = SyntaxIssue("text-after-value", f"unexpected {stop.word()} after the {what}", _past_blanks(stop), hint)
    return issue, _without(stop, begin)


def _after_name(stop: Stop) -> tuple[SyntaxIssue, str]:
    message = f"unexpected {stop.word()} after the quoted name"
    return SyntaxIssue("text-after-name", message, stop.offset, "put a blank between name and value"), _without(stop)


def _at_line(stop: Stop) -> tuple[SyntaxIssue, str]:
    if stop.char == "<":
        hint = "a section's name has letters, digits and _ only, right after <"
        return SyntaxIssue("bad-tag", f"{stop.word()} is no section tag", stop.offset, hint), _without(stop)
    if "PARAM" in stop.expected:
        hint = "names in dialect v0 have letters, digits and _ only; most files are v1"
    else:
        hint = "a line holds one parameter, one tag or a comment"
    return SyntaxIssue("syntax-error", f"unexpected {stop.word()}", stop.offset, hint), _without(stop)


def _expects(*terminals: str) -> Callable[[Stop], bool]:
    return lambda stop: not stop.expected.isdisjoint(terminals)


_EXPLANATIONS: Final[tuple[tuple[Callable[[Stop], bool], Callable[[Stop], tuple[SyntaxIssue, str]]], ...]] = (
    (_expects("CODE_TEXT", "CODE_STRING_TEXT"), _in_code),
    (_expects("TEXT"), _in_quotes),
    (lambda stop: stop.char == "'" and "SINGLE" in stop.expected, _in_single_quotes),
    (_expects("JSON_TEXT"), _in_json_text),
    (lambda stop: stop.in_json, _in_json),
    (_expects("_GT"), _in_tag),
    (lambda stop: "_EOL" in stop.expected and stop.stack[-1].type == "_GT", _after_tag),
    (lambda stop: "_EOL" in stop.expected and any(token.type == "_SEP" for token in stop.stack), _after_value),
    (_expects("_SEP"), _after_name),
    (lambda _: True, _at_line),
)
"""The explanation depends on what the parser expected; the first that fits is taken."""


def line_end(text: str, offset: int) -> int:
    """Return the offset of the end of the line at `offset`; a carriage return ends a line too."""
    found = _LINE_BREAK.search(text, offset)
    return found.start() if found else len(text)


def line_start(text: str, offset: int) -> int:
    """Return the offset of the beginning of the line at `offset`."""
    return max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1


def blank(text: str, start: int, end: int) -> str:
    """Return the text with blanks from `start` to `end`; line ends stay."""
    kept = "".join(char if char in "\r\n" else " " for char in text[start:end])
    return f"{text[:start]}{kept}{text[end:]}"


def _start(token: Token) -> int:
    return token.start_pos or 0


def _past_blanks(stop: Stop) -> int:
    rest = stop.text[stop.offset : line_end(stop.text, stop.offset)]
    return stop.offset + len(rest) - len(rest.lstrip())


def _without(stop: Stop, token: Token | None = None) -> str:
    """Return the text without the line that holds `token`, or without the line of the stop."""
    offset = stop.offset if token is None else _start(token)
    return blank(stop.text, line_start(stop.text, offset), line_end(stop.text, offset))


def _without_json(stop: Stop) -> str:
    """Return the text without the lines of an unfinished JSON value: to its last bracket, or the last JSON line."""
    start = _start(stop.value_start())
    last = stop.text[start].translate({ord("["): "]", ord("{"): "}"})
    end = line_end(stop.text, stop.offset)
    line = stop.text[start:end].strip()
    while end < len(stop.text) and not line.endswith(last):
        following = line_end(stop.text, end + 1)
        line = stop.text[end:following].strip()
        if line[:1] not in _JSON_LINES:
            break
        end = following
    return blank(stop.text, line_start(stop.text, start), end)
