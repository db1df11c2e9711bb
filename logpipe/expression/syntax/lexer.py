"""Splits Ruby text into tokens, one at a time on the parser's demand.

Ruby's tokens depend on the context: `/` divides after a value and opens a regular expression elsewhere, `x -1`
subtracts when `x` is a local variable and calls otherwise. So the lexer keeps the last token, and has the names of
variables from the parser. String-like literals are in `literals`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from logpipe.errors import ExpressionError
from logpipe.expression.syntax.literals import LiteralReader, Parsed

_KEYWORD_LIST: Final = """
alias and begin BEGIN break case class def defined? do else elsif end END ensure false for if in module next nil
not or redo rescue retry return self super then true undef unless until when while yield __FILE__ __LINE__
__method__ __ENCODING__
"""
KEYWORDS: Final = frozenset(_KEYWORD_LIST.split())

_VALUE_KEYWORDS: Final = frozenset({"end", "self", "true", "false", "nil", "redo", "retry", "__FILE__", "__LINE__"})
"""Keywords after which an operator rather than a value is expected."""

_OPERATORS: Final = re.compile(
    r"\*\*=|<=>|===|\.\.\.|<<=|>>=|&&=|\|\|=|&\.|\*\*|==|=~|=>|!=|!~|<=|>=|&&|\|\||\.\.|::|->|<<|>>"
    r"|\+=|-=|\*=|/=|%=|&=|\|=|\^=|[-+*/%=<>!~&|^?:;,.(){}\[\]]"
)
_NUMBER: Final = re.compile(
    r"0[xX](?P<hex>[0-9a-fA-F][0-9a-fA-F_]*)|0[bB](?P<bin>[01][01_]*)|0[oO]?(?P<oct>[0-7][0-7_]*)(?![\d.])"
    r"|(?P<float>\d[\d_]*(?:\.\d[\d_]*(?:[eE][-+]?\d+)?|[eE][-+]?\d+))|(?P<int>\d[\d_]*)"
)
_WORD: Final = re.compile(r"[^\W\d]\w*")
_GLOBAL: Final = re.compile(r"\$(?:[^\W\d]\w*|\d+|[~&`'+!@_/\\,;.<>\"$?:*]|-\w)")
_INSTANCE: Final = re.compile(r"@@?[^\W\d]\w*")
_SYMBOL: Final = re.compile(
    r"[^\W\d]\w*[?!=]?(?<!=)(?![=~>])|[^\W\d]\w*[?!]?"
    r"|\[\]=?|\*\*|<=>|===?|=~|![=~]?|<<|>>|<=|>=|[-+*/%<>&|^~]"
)
_SPACE: Final = re.compile(r"(?:[ \t\r\f\v]|\\\r?\n|#[^\n]*)+")
_LEADING_DOT: Final = re.compile(r"(?:\s|#[^\n]*\n)*(?:\.(?!\.)|&\.)")
_TYPOGRAPHIC: Final = dict(zip("\u201c\u201d\u201e\u00ab\u00bb\u2018\u2019\u201a", '"""""\'\'\'', strict=True))
"""Typographic quotes that word processors insert for straight ones."""
_LABEL_AFTER: Final = frozenset({"{", ",", "(", "|", "[", "ident", "**"})


@dataclass(slots=True)
class Token:
    """One token: `kind` is a class such as `ident`, or the text itself for operators, keywords and ends."""

    kind: str
    start: int
    end: int
    value: str | int | float | Parsed = ""
    space: bool = False
    """Whether there is white space before it."""

    @property
    def text(self) -> str:
        """The value of a token whose value is a text."""
        return self.value if isinstance(self.value, str) else self.kind


class Lexer:
    """Reads tokens from `text[start:]`; `last` is the token before the one that `next` will return."""

    def __init__(self, text: str, start: int, *, is_local: Callable[[str], bool], literals: LiteralReader) -> None:
        self.text = text
        self.position = start
        self.last = Token("nl", start, start)
        self._is_local = is_local
        self._literals = literals

    def next(self) -> Token:
        """Return the next token; kind `eof` at the end of the text.

        Raises:
            ExpressionError: no token begins here; `offset` is the place.
        """
        token = self._read()
        self.last = token
        self.position = token.end
        return token

    def _read(self) -> Token:
        text, position = self.text, self.position
        space = False
        while match := _SPACE.match(text, position):
            position, space = match.end(), True
        if position >= len(text) or text[position] == "\0":
            return Token("eof", position, position, space=space)
        char = text[position]
        if char == "\n":
            if self._expects_value() or _LEADING_DOT.match(text, position):
                self.position = position + 1
                return self._read()
            return Token("nl", position, position + 1)
        token = self._literal(char, position, space=space) or self._word(position) or self._operator(position)
        token.space = space
        return token

    def _literal(self, char: str, position: int, *, space: bool) -> Token | None:
        text = self.text
        if char.isdigit():
            return self._number(position)
        opens_value = self._expects_value() or (space and self._may_be_argument(position))
        if char in "\"'`":
            parsed = self._literals.quoted(position)
            if (
                parsed.kind == "str"
                and text[parsed.end : parsed.end + 1] == ":"
                and self._label_allowed(parsed.end + 1)
            ):
                return Token("label", position, parsed.end + 1, parsed)
            return Token(parsed.kind, position, parsed.end, parsed)
        following = text[position + 1 : position + 2]
        if char == ":" and following in ('"', "'") and self._symbol_may_start(position):
            parsed = self._literals.quoted(position + 1)
            return Token("sym", position, parsed.end, parsed)
        if not opens_value:
            return None
        if char == "/":
            parsed = self._literals.regexp(position, position + 1, "/")
        elif char == "%" and (following in tuple("([{<|!/-^") or re.match(r"[wWiIqQrsx][^\w\s]", text[position + 1 :])):
            parsed = self._literals.percent(position)
        elif char == "?" and re.match(r"\?[^\s\w](?!\w)|\?\w(?!\w)", text[position:]):
            return Token("str", position, position + 2, Parsed("str", position + 2, [following]))
        elif char == "<" and re.match(r"<<[~-]?[\"'`A-Z_]", text[position:]) and self._expects_value():
            raise ExpressionError("here documents are not supported", offset=position, hint="write the text in quotes")
        else:
            return None
        return Token(parsed.kind, position, parsed.end, parsed)

    def _number(self, position: int) -> Token:
        match = _NUMBER.match(self.text, position)
        if match is None:  # a digit outside ASCII
            raise ExpressionError(f"{self.text[position]!r} is no digit", offset=position, hint="write it as 0 to 9")
        base = {"hex": 16, "bin": 2, "oct": 8, "int": 10}.get(match.lastgroup or "")
        digits = match[match.lastgroup or 0].replace("_", "")
        if base is None:
            return Token("number", position, match.end(), float(digits))
        if len(digits) > 1000:
            raise ExpressionError("a number of more than 1000 digits", offset=position, hint="write a smaller number")
        return Token("number", position, match.end(), int(digits, base))

    def _word(self, position: int) -> Token | None:
        text = self.text
        if match := _INSTANCE.match(text, position):
            return Token("ivar", position, match.end(), match[0])
        if match := _GLOBAL.match(text, position):
            return Token("gvar", position, match.end(), match[0])
        if text[position] == ":" and self._symbol_may_start(position):
            end = self._symbol_end(position + 1)
            if end:
                return Token("sym", position, end, Parsed("str", end, [text[position + 1 : end]]))
        match = _WORD.match(text, position)
        if match is None:
            return None
        end = match.end()
        if text[end : end + 1] in ("?", "!") and text[end + 1 : end + 2] != "=":
            end += self._takes_mark(position, end)
        elif text[end : end + 1] in ("?", "!") and text[end + 1 : end + 3] in ("==", "=~", "=>"):
            end += 1
        word = text[position:end]
        if text[end : end + 1] == ":" and text[end + 1 : end + 2] != ":" and self._label_allowed(end + 1):
            return Token("label", position, end + 1, Parsed("str", end + 1, [word]))
        if word in KEYWORDS and self.last.kind not in (".", "&."):
            return Token(word, position, end, word)
        return Token("const" if word[0].isupper() else "ident", position, end, word)

    def _takes_mark(self, start: int, end: int) -> int:
        """How many characters of a `?` or `!` at `end` belong to the word before it."""
        text = self.text
        if text[end] == "!":
            return 1
        if self.last.kind not in (".", "&.") and self._is_local(text[start:end]):
            return 0
        return 0 if text[end + 1 : end + 2] == ":" and text[end + 2 : end + 3] == ":" else 1

    def _operator(self, position: int) -> Token:
        match = _OPERATORS.match(self.text, position)
        if match is None:
            char = self.text[position]
            if char in _TYPOGRAPHIC:
                raise ExpressionError(
                    f"typographic quote {char} in an expression",
                    offset=position,
                    hint=f"type the straight quote {_TYPOGRAPHIC[char]} instead",
                )
            raise ExpressionError(f"unexpected character {char!r}", offset=position, hint="remove or quote it")
        return Token(match[0], position, match.end(), match[0])

    def _expects_value(self) -> bool:
        """Return whether a value rather than an operator is expected next."""
        kind = self.last.kind
        if kind in ("number", "str", "xstr", "sym", "regexp", "words", "symbols", "ident", "const", "ivar", "gvar"):
            return False
        if kind in KEYWORDS:
            return kind not in _VALUE_KEYWORDS
        return kind not in (")", "]", "}", ".", "&.")

    def _may_be_argument(self, position: int) -> bool:
        """Return whether the text here, after white space, can be the first argument of a call without parentheses."""
        last = self.last
        if last.kind != "ident" or self._is_local(last.text):
            return False
        return not self.text[position + 1 : position + 2].isspace()

    def _label_allowed(self, end: int) -> bool:
        """Return whether `word:` ending here can be a hash key rather than a part of a ternary."""
        if self.text[end : end + 1] == ":":
            return False
        return self.last.kind in _LABEL_AFTER

    def _symbol_may_start(self, position: int) -> bool:
        if self.text[position + 1 : position + 2] in (":", ""):
            return False
        if self.text[position - 1 : position] == ":" and self.last.kind == "::":
            return False
        return self._expects_value() or self._may_be_argument(position)

    def _symbol_end(self, start: int) -> int:
        match = _SYMBOL.match(self.text, start)
        return match.end() if match else 0
