"""The state of a parser: its tokens, and the variables so far."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Final

from logpipe.errors import ExpressionError
from logpipe.expression.syntax.lexer import Lexer, Token
from logpipe.expression.syntax.literals import LiteralReader
from logpipe.expression.syntax.nodes import Node

MAX_LENGTH: Final = 65_536


class TokenReader(ABC):
    """The tokens of one text, and the variables so far.

    The forms of the grammar are functions in other modules, which parse their parts through the abstract methods.
    """

    def __init__(
        self,
        text: str,
        *,
        start: int = 0,
        variables: Iterable[str] = (),
        scopes: list[set[str]] | None = None,
        depth: int = 0,
    ) -> None:
        if len(text) > MAX_LENGTH:
            raise ExpressionError(f"an expression of more than {MAX_LENGTH} characters", offset=0, hint="shorten it")
        self.text = text
        self.scopes = scopes if scopes is not None else [set()]
        self.variables = frozenset(variables)
        self.no_do = 0
        self.depth = depth
        self.literals = LiteralReader(text, self._code)
        self._lexer = Lexer(text, start, is_local=self.is_local, literals=self.literals)
        self.token = self._lexer.next()

    def advance(self) -> Token:
        """Return the current token and read the next."""
        token = self.token
        self.token = self._lexer.next()
        return token

    def at(self, *kinds: str) -> bool:
        """Whether the current token is one of these."""
        return self.token.kind in kinds

    def accept(self, *kinds: str) -> Token | None:
        """Take the current token if it is one of these."""
        return self.advance() if self.token.kind in kinds else None

    def expect(self, *kinds: str) -> Token:
        """Take the current token, which must be one of these.

        Raises:
            ExpressionError: it is another.
        """
        if self.token.kind not in kinds:
            raise self.unexpected(" or ".join(kinds))
        if self.token.kind == "eof" or kinds == ("}",):
            return self.token  # the following text is not part of the expression
        return self.advance()

    def unexpected(self, wanted: str = "") -> ExpressionError:
        """Return the error for an unexpected current token."""
        hint = f"{'the end' if wanted == 'eof' else wanted} is expected here" if wanted else "a value is expected here"
        if self.token.kind == "eof":
            return ExpressionError("the expression ends too early", offset=self.token.start, hint=hint)
        found = "a line break" if self.token.kind == "nl" else repr(self.text[self.token.start : self.token.end])
        return ExpressionError(f"unexpected {found}", offset=self.token.start, hint=hint)

    def skip_newlines(self) -> None:
        """Skip line breaks, where they have no meaning."""
        while self.token.kind == "nl":
            self.advance()

    def is_local(self, name: str) -> bool:
        """Return whether the name is a variable, which takes no arguments."""
        return name in self.variables or self.is_assigned(name)

    def is_assigned(self, name: str) -> bool:
        """Whether the name was assigned before."""
        return any(name in scope for scope in self.scopes)

    def declare(self, name: str) -> None:
        """Make a name a local variable from here on."""
        if not self.is_assigned(name):
            self.scopes[-1].add(name)

    @abstractmethod
    def _code(self, position: int) -> tuple[Node, int]:
        """Parse the code of `#{…}` that begins at `position`; returns where it ends, too."""

    @abstractmethod
    def statements(self, ends: tuple[str, ...]) -> Node:
        """Parse statements up to but not including one of these tokens."""

    @abstractmethod
    def body(self) -> Node:
        """Parse the body of `do … end`, which may have rescue clauses."""

    @abstractmethod
    def alternatives(self) -> Node:
        """Parse `and`, `or`, `not`, and an assignment to several targets."""

    @abstractmethod
    def expression(self) -> Node:
        """Parse an expression with its assignments; no modifiers, no `and`.

        Raises:
            ExpressionError: it is nested too deeply or invalid.
        """

    @abstractmethod
    def target(self, node: Node) -> Node:
        """Return the target of an assignment to `node`; a bare name becomes a variable."""

    @abstractmethod
    def primary(self) -> Node:
        """Parse a value without operators and calls after it."""
