"""Ruby's string-like literals: quotes, `%w[…]` and the like, regular expressions, and code within them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from logpipe.errors import ExpressionError
from logpipe.expression.syntax.nodes import GlobalVariable, InstanceVariable, Node

ParseCode: TypeAlias = Callable[[int], tuple[Node, int]]
"""Parses the code that begins at an offset; returns its tree and the offset after its closing brace."""

_CLOSERS: Final = {"(": ")", "[": "]", "{": "}", "<": ">"}
_SIMPLE: Final = {
    "n": "\n", "t": "\t", "r": "\r", "s": " ", "e": "\x1b", "a": "\a", "b": "\b", "f": "\f", "v": "\v",
    "\n": "",
}  # fmt: skip
_CONTROL: Final = re.compile(r"c([!-~])|C-([!-~])")
_OCTAL: Final = re.compile(r"[0-7]{1,3}")
_HEX: Final = re.compile(r"x([0-9a-fA-F]{1,2})")
_UNICODE: Final = re.compile(r"u(?:([0-9a-fA-F]{4})|\{\s*([0-9a-fA-F]{1,6}(?:\s+[0-9a-fA-F]{1,6})*)\s*\})")
_SHORT_CODE: Final = re.compile(r"#(\$(?:[~&]|\d+|[^\W\d]\w*)|@[^\W\d]\w*)")
_FLAGS: Final = re.compile(r"[a-zA-Z]*")


@dataclass(slots=True)
class Parsed:
    """A literal that was read: its texts and codes in order, and for words one list of parts each."""

    kind: str
    end: int
    parts: list[str | Node] = field(default_factory=list)
    flags: str = ""
    words: list[list[str | Node]] = field(default_factory=list)


class LiteralReader:
    """Reads literals in `text`; `parse_code` is called for each `#{`."""

    def __init__(self, text: str, parse_code: ParseCode) -> None:
        self._text = text
        self._parse_code = parse_code

    def quoted(self, position: int) -> Parsed:
        """Read a literal in single quotes, double quotes or backticks."""
        quote = self._text[position]
        kind = "xstr" if quote == "`" else "str"
        return self._string(kind, position, position + 1, "", quote, escapes=quote != "'")

    def enclosed(self, opener: str, closer: str) -> tuple[list[str | Node], int]:
        """Read the text as if it followed `opener`, up to its closer; returns the closer's offset, too."""
        parsed = self._string("str", 0, 0, opener, closer, escapes=True)
        return parsed.parts, parsed.end - 1

    def percent(self, position: int) -> Parsed:
        """Read `%w[…]`, `%Q(…)`, `%(…)` and the like."""
        letter = self._text[position + 1]
        if letter.isalpha():
            body = position + 3
        else:
            letter, body = "Q", position + 2
        opener = self._text[body - 1]
        closer = _CLOSERS.get(opener, opener)
        opener = opener if opener in _CLOSERS else ""
        if letter in "wWiI":
            return self._words(letter, position, body, opener, closer)
        if letter == "r":
            return self.regexp(position, body, closer, opener)
        kind = {"s": "sym", "x": "xstr"}.get(letter, "str")
        return self._string(kind, position, body, opener, closer, escapes=letter in "Qx")

    def regexp(self, start: int, body: int, closer: str, opener: str = "") -> Parsed:
        r"""Read a regular expression whose source begins at `body`; its escapes are kept but for `\/`."""
        parts: list[str | Node] = []
        buffer: list[str] = []
        text, position, depth = self._text, body, 0
        while position < len(text):
            char = text[position]
            if char == "\\" and position + 1 < len(text):
                following = text[position + 1]
                buffer.append(following if following == closer == "/" else char + following)
                position += 2
            elif (code := self._code(position)) is not None:
                _flush(buffer, parts)
                parts.append(code[0])
                position = code[1]
            elif char == closer and depth == 0:
                _flush(buffer, parts)
                flags = _FLAGS.match(text, position + 1)
                end = flags.end() if flags else position + 1
                return Parsed("regexp", end, parts, flags=text[position + 1 : end])
            else:
                depth += (char == opener) - (char == closer)
                buffer.append(char)
                position += 1
        raise _unclosed("regular expression", start, closer)

    def _string(self, kind: str, start: int, body: int, opener: str, closer: str, *, escapes: bool) -> Parsed:
        parts: list[str | Node] = []
        buffer: list[str] = []
        text, position, depth = self._text, body, 0
        while position < len(text):
            char = text[position]
            if char == "\\" and position + 1 < len(text):
                piece, position = self._escape(position) if escapes else self._plain_escape(position, opener, closer)
                buffer.append(piece)
            elif escapes and (code := self._code(position)) is not None:
                _flush(buffer, parts)
                parts.append(code[0])
                position = code[1]
            elif char == closer and depth == 0:
                _flush(buffer, parts)
                return Parsed(kind, position + 1, parts)
            else:
                depth += (char == opener) - (char == closer)
                buffer.append(char)
                position += 1
        raise _unclosed("string", start, closer)

    def _words(self, letter: str, start: int, body: int, opener: str, closer: str) -> Parsed:
        words: list[list[str | Node]] = []
        parts: list[str | Node] = []
        buffer: list[str] = []
        text, position, depth = self._text, body, 0
        kind = "words" if letter in "wW" else "symbols"
        while position < len(text):
            char = text[position]
            ends = char == closer and depth == 0
            if ends or char.isspace():
                _flush(buffer, parts)
                if parts:
                    words.append(parts)
                    parts = []
                position += 1
                if ends:
                    return Parsed(kind, position, words=words)
            elif char == "\\" and position + 1 < len(text):
                piece, position = (
                    self._escape(position) if letter.isupper() else self._plain_escape(position, opener, closer + " ")
                )
                buffer.append(piece)
            elif letter.isupper() and (code := self._code(position)) is not None:
                _flush(buffer, parts)
                parts.append(code[0])
                position = code[1]
            else:
                depth += (char == opener) - (char == closer)
                buffer.append(char)
                position += 1
        raise _unclosed("list of words", start, closer)

    def _code(self, position: int) -> tuple[Node, int] | None:
        """Read `#{…}`, `#@x` or `#$1` at `position`; None where there is none."""
        if self._text[position] != "#":
            return None
        if self._text.startswith("#{", position):
            return self._parse_code(position + 2)
        match = _SHORT_CODE.match(self._text, position)
        if match is None:
            return None
        name = match[1]
        node = GlobalVariable(position, name) if name[0] == "$" else InstanceVariable(position, name)
        return node, match.end()

    def _escape(self, position: int) -> tuple[str, int]:
        """Read the escape at `position` by the rules of double quotes; returns its text and the next offset."""
        text, after = self._text, position + 1
        if match := _UNICODE.match(text, after):
            numbers = [int(number, 16) for number in (match[1] or match[2]).split()]
            if any(number > sys.maxunicode or 0xD800 <= number < 0xE000 for number in numbers):
                raise ExpressionError(
                    f"no such character: \\{match[0]}", offset=position, hint="the last is \\u{10ffff}"
                )
            return "".join(map(chr, numbers)), match.end()
        if match := _HEX.match(text, after):
            return _byte(int(match[1], 16)), match.end()
        if match := _CONTROL.match(text, after):
            return chr(ord(match[1] or match[2]) & 0x9F), match.end()
        if match := _OCTAL.match(text, after):
            return _byte(int(match[0], 8) & 255), match.end()
        return _SIMPLE.get(text[after], text[after]), after + 1

    def _plain_escape(self, position: int, opener: str, closer: str) -> tuple[str, int]:
        """Read an escape in single quotes, which have two: the backslash and the delimiter."""
        following = self._text[position + 1]
        if following == "\\" or following in closer or (opener and following == opener):
            return following, position + 2
        return "\\" + following, position + 2


def _byte(value: int) -> str:
    """Return one byte as text: bytes beyond ASCII as surrogates, which `_flush` joins to characters."""
    return chr(value) if value < 128 else chr(0xDC00 + value)


def _flush(buffer: list[str], parts: list[str | Node]) -> None:
    """Move the collected text to `parts`, with bytes that form UTF-8 decoded."""
    if not buffer:
        return
    text = "".join(buffer)
    buffer.clear()
    if any("\udc80" <= char <= "\udcff" for char in text):
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    parts.append(text)


def _unclosed(what: str, start: int, closer: str) -> ExpressionError:
    return ExpressionError(f"{what} without its closing {closer}", offset=start, hint=f"add the closing {closer}")
