"""Evaluates the words and values of a configuration: quotes, escapes, embedded code and JSON."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any, Final

from lark import Token

from logpipe.config.diagnostic import TYPOGRAPHIC_QUOTES, Position, Report, error, warning
from logpipe.config.element import USE_DEFAULT, Piece, Value
from logpipe.config.includes import Evaluation
from logpipe.config.json_text import MAX_NESTING, dump_json, load_json
from logpipe.config.syntax import Code, JsonContainer, JsonItem, JsonPair, JsonValue, Quoted, Word
from logpipe.errors import ExpressionError

_ESCAPES: Final = {"r": "\r", "n": "\n", "t": "\t", "f": "\f", "b": "\b", "0": "\0"}
_SINGLE_ESCAPE: Final = re.compile(r"\\(['\\])")
_JSON_ESCAPE_LETTERS: Final = frozenset('"\\/bfnrtu')
_COMMENT: Final = re.compile(r"//[^\n]*|/\*.*?\*/|(?P<hash>#)", re.DOTALL)
_LATE_COMMENT: Final = re.compile(r",[ \t\r]*(?:#[^\n]*)?\n[ \t\r\n]*#")


class Literals:
    """Evaluates the words of one file; without an `evaluation`, embedded code stays as it is written."""

    def __init__(self, file: str, evaluation: Evaluation | None, report: Report) -> None:
        self._file = file
        self._evaluation = evaluation
        self._report = report

    def place(self, token: Token) -> Position:
        """Return the place of a token."""
        return Position(self._file, token.line or 0, token.column or 0)

    def place_of(self, word: Word | JsonContainer) -> Position:
        """Return where a word or value begins."""
        if isinstance(word, Token):
            return self.place(word)
        return self.place(word.quote if isinstance(word, Quoted) else word.begin)

    def value(self, value: Word | JsonContainer) -> tuple[Value, tuple[Piece, ...]]:
        """Return a parameter's text, and its pieces where it is quoted."""
        if isinstance(value, JsonContainer):
            return self._json(value), (Piece(0, self.place(value.begin), 0),)
        if isinstance(value, Quoted):
            return self._quoted(value)
        if value.type == "BARE" and value[0] in TYPOGRAPHIC_QUOTES:
            message = f"{value[0]} is a typographic quote and becomes part of the value"
            self._report(warning("typographic-quotes", message, self.place(value), "write \" or ' to quote"))
        return self.word(value), self._single_pieces(value) if value.type == "SINGLE" else ()

    def _single_pieces(self, word: Token) -> tuple[Piece, ...]:
        place = self.place(word)
        ends = [0, *(found.start() + 1 for found in _SINGLE_ESCAPE.finditer(word[1:-1])), len(word) - 2]
        spans = [(begin, end) for begin, end in itertools.pairwise(ends) if begin < end or begin == 0]
        # each escape before the piece dropped a backslash, except one that is the piece's own first character
        return tuple(
            Piece(begin - dropped, Position(place.file, place.line, place.column + 1 + begin), end - begin)
            for dropped, (begin, end) in enumerate(spans)
        )

    def word(self, word: Word) -> Value:
        """Return the text of a key, an argument or a plain value."""
        if isinstance(word, Quoted):
            return self._quoted(word)[0]
        if word.type == "SINGLE":
            return _SINGLE_ESCAPE.sub(r"\1", word[1:-1])
        return str(word)

    def name(self, word: Word) -> str:
        """Return a parameter's name."""
        return self._must_be_text(self.word(word), word, "a parameter's name")

    def argument(self, word: Word) -> str:
        """Return a section's argument."""
        # compat: config/v1_parser.rb makes an argument that is nil an empty one
        return self._must_be_text(self.word(word) or "", word, "a section's argument")

    def path(self, word: Word) -> str:
        """Return the path of an `@include`."""
        return self._must_be_text(self.word(word), word, "a path")

    def _must_be_text(self, value: Value, word: Word, what: str) -> str:
        if isinstance(value, str):
            return value
        message = f"{_request(value)} cannot stand for {what}"
        self._report(error("bad-code", message, self.place_of(word), "it is for values of parameters"))
        return ""

    def _quoted(self, quoted: Quoted) -> tuple[Value, tuple[Piece, ...]]:
        texts = [self._piece(part) for part in quoted.parts]
        # a single use_nil or use_default decides the whole text, and nil takes precedence
        if None in texts:
            return None, ()
        if USE_DEFAULT in texts:
            return USE_DEFAULT, ()
        pieces: list[Piece] = []
        length = 0
        for part, text in zip(quoted.parts, texts, strict=True):
            pieces += self._pieces(part, length)
            length += len(str(text))
        return "".join(str(text) for text in texts), tuple(pieces)

    def _pieces(self, part: Token | Code, start: int) -> Iterator[Piece]:
        """Yield the pieces of a part of a text, one a line, which begin at `start` in the value."""
        place = self.place(part.begin if isinstance(part, Code) else part)
        if isinstance(part, Code) or part.type in {"JOIN", "ESCAPE"}:
            yield Piece(start, place, 0, is_code=isinstance(part, Code))
            return
        for number, line in enumerate(part.split("\n")):
            yield Piece(start, place if number == 0 else Position(place.file, place.line + number, 1), len(line))
            start += len(line) + 1

    def _piece(self, part: Token | Code) -> Value:
        if isinstance(part, Code):
            return self.run(part.source, self.place(part.begin))
        if part.type == "JOIN":
            return ""
        return self._escape(part) if part.type == "ESCAPE" else str(part)

    def _escape(self, token: Token) -> str:
        char = token[1]
        if char in _ESCAPES:
            return _ESCAPES[char]
        if char.isascii() and char.isalnum():
            hint = f"write \\\\{char} for a backslash, or use single quotes"
            self._report(error("bad-escape", f"\\{char} is no escape in double quotes", self.place(token), hint))
        return char

    def run(self, source: str, begin: Position) -> Value:
        """Return the code's text, or its request (nil or default) for the whole value; `begin` is its `#{`."""
        if self._evaluation is None:
            return f"#{{{source}}}"
        files: list[str] = []
        try:
            return self._evaluation.run(source, files)
        except ExpressionError as problem:
            place = _inside(begin, source, problem.offset or 0)
            self._report(error("bad-code", f"in #{{{source}}}: {problem}", place, problem.hint))
            return ""
        finally:
            for file in files:
                message = f"the value is read from the file {file}, once, when logpipe starts"
                self._report(warning("reads-file", message, begin))

    def _json(self, container: JsonContainer) -> str:
        if container.depth > MAX_NESTING:
            message = f"the JSON value nests deeper than {MAX_NESTING} levels"
            self._report(error("bad-json", message, self.place(container.begin), "flatten it"))
            return ""
        self._check_comments(container, nested=False)
        return dump_json(self._json_value(container))

    def _json_value(self, value: JsonValue) -> Any:
        if isinstance(value, Quoted):
            return self._json_text(value)
        if isinstance(value, Code):
            return self._json_code(value)
        if isinstance(value, Token):
            return self._loaded(value, value)
        items = [item for item in value.items if not _is_comma(item)]
        if value.begin.type == "LIST_BEGIN":
            return [self._json_value(item) for item in items]  # type: ignore[arg-type]  # a list holds no pairs
        return {self._json_text(pair.key): self._json_value(pair.value) for pair in items if isinstance(pair, JsonPair)}

    def _json_code(self, code: Code) -> Any:
        text = self.run(code.source, self.place(code.begin))
        if self._evaluation is None or not isinstance(text, str):
            return self._text_in_json(text, code)
        return self._loaded(text, code.begin)

    def _json_text(self, quoted: Quoted) -> str:
        raw = "".join(self._json_piece(part) for part in quoted.parts)
        text = self._loaded(f'"{raw}"', quoted.quote)
        # a lone surrogate cannot be encoded
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(text, str) else ""

    def _json_piece(self, part: Token | Code) -> str:
        if isinstance(part, Code):
            text = self.run(part.source, self.place(part.begin))
            # compat: config/literal_parser.rb puts the code's text into the JSON unescaped, backslashes included
            return json.dumps(text)[1:-1] if self._evaluation is None else self._text_in_json(text, part)
        if part.type == "JSON_ESCAPE" and part[1] not in _JSON_ESCAPE_LETTERS:
            # compat: Ruby's JSON drops the backslash of an unknown escape
            message = f"\\{part[1]} is no escape in JSON: the backslash is lost"
            self._report(warning("lost-backslash", message, self.place(part), f"write \\\\{part[1]}"))
            return part[1]
        return str(part)

    def _text_in_json(self, text: Value, code: Code) -> str:
        if isinstance(text, str):
            return text
        message = f"{_request(text)} cannot stand inside JSON"
        self._report(error("bad-code", message, self.place(code.begin), "it decides a whole parameter"))
        return ""

    def _loaded(self, text: str, token: Token) -> Any:
        try:
            return load_json(text)
        except ValueError as problem:
            hint = "what the code gives must fit into JSON as it is"
            self._report(error("bad-json", str(problem), self.place(token), hint))
            return None

    def _check_comments(self, container: JsonContainer, *, nested: bool) -> None:
        """Report comments at places where fluentd reads them as a part of the JSON and refuses it."""
        for item in (container.begin, *container.items, container.end):
            value = item.value if isinstance(item, JsonPair) else item
            if isinstance(value, JsonContainer):
                self._check_comments(value, nested=True)
            elif isinstance(value, Token) and _holds_comment(value) and (nested or _LATE_COMMENT.search(value)):
                message = "fluentd refuses a comment at this place in JSON"
                hint = "move the comment above the parameter"
                self._report(error("bad-json", message, self.place(value), hint))


def _request(value: Value) -> str:
    return "use_nil" if value is None else "use_default"


def _is_comma(item: JsonItem) -> bool:
    return isinstance(item, Token) and item.type == "NEXT"


def _holds_comment(gap: Token) -> bool:
    return any(found["hash"] for found in _COMMENT.finditer(gap))


def _inside(begin: Position, source: str, offset: int) -> Position:
    """Return the place of `offset` in the code whose `#{` is at `begin`."""
    before = source[:offset]
    if "\n" not in before:
        return Position(begin.file, begin.line, begin.column + 2 + offset)
    return Position(begin.file, begin.line + before.count("\n"), offset - before.rindex("\n"))
