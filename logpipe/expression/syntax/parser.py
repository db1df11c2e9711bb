"""Parses Ruby text to a tree: precedence climbing for operators, one function for each form with a keyword.

This is the grammar only; the compiler determines which methods, constants and words may be used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from logpipe.errors import ExpressionError
from logpipe.expression.syntax import calls, keywords, targets
from logpipe.expression.syntax.lexer import Token
from logpipe.expression.syntax.nodes import (
    And,
    Array,
    Assign,
    Begin,
    Call,
    Defined,
    If,
    InstanceVariable,
    Literal,
    Local,
    Name,
    Node,
    Not,
    OpAssign,
    Or,
    Range,
    Regexp,
    Rescue,
    Seq,
    Splat,
    Str,
    While,
)
from logpipe.expression.syntax.primary import parse_primary
from logpipe.expression.syntax.tokens import TokenReader

MAX_DEPTH: Final = 48

_BINARY: Final = {
    "||": 2, "&&": 3, "<=>": 5, "==": 5, "===": 5, "!=": 5, "=~": 5, "!~": 5, "<": 6, "<=": 6, ">": 6, ">=": 6,
    "|": 7, "^": 7, "&": 8, "<<": 9, ">>": 9, "+": 10, "-": 10, "*": 11, "/": 11, "%": 11, "**": 13,
}  # fmt: skip
_UNARY_MINUS: Final = 12
_ASSIGNMENTS: Final = frozenset({"+=", "-=", "*=", "/=", "%=", "**=", "<<=", ">>=", "|=", "&=", "^=", "||=", "&&="})
_ENDS: Final = frozenset(
    {"eof", "nl", ";", ")", "]", "}", "then", "do", "end", ",", "=>", ":", "if", "unless", "and", "or"}
)
_GROUP_NAME: Final = re.compile(r"\(\?<([a-z_]\w*)>")


def parse(text: str, *, start: int = 0, variables: Iterable[str] = ()) -> Node:
    """Parse a text from `start` on; `variables` are predefined names, which never take arguments.

    Raises:
        ExpressionError: the text is not valid or not supported; `offset` is the place.
    """
    with _bounded():
        parser = Parser(text, start=start, variables=variables)
        node = parser.statements(("eof",))
        parser.expect("eof")
        return node


def parse_interpolated(text: str, *, variables: Iterable[str] = ()) -> Str:
    r"""Parse a text as between double quotes, where every quote is literal: Ruby's `%Q[…]` around it.

    Raises:
        ExpressionError: code in it does not parse, or a bracket is unbalanced, as in Ruby.
    """
    parts, end = _between(text, "[", "]", variables)
    if end != len(text):
        raise ExpressionError("a ] without its [ ends the text early", offset=end, hint="write \\] for a lone bracket")
    return Str(0, parts)


def parse_quoted(text: str, *, variables: Iterable[str] = ()) -> Str:
    """Parse a text as between double quotes, where a double quote ends it: Ruby's `"…"` around it.

    Raises:
        ExpressionError: code in it does not parse, or a double quote stands in it.
    """
    parts, end = _between(text, "", '"', variables)
    if end != len(text):
        raise ExpressionError("a double quote ends the text early", offset=end, hint='write \\"')
    return Str(0, parts)


def _between(text: str, opener: str, closer: str, variables: Iterable[str]) -> tuple[list[str | Node], int]:
    with _bounded():
        parser = Parser(text + closer, start=len(text) + 1, variables=variables)
        return parser.literals.enclosed(opener, closer)


def code_end(text: str, start: int) -> int:
    """Return the offset of the `}` that closes code which begins at `start`.

    Raises:
        ExpressionError: no brace closes it, or a token in it cannot be read.
    """
    with _bounded():
        parser = Parser(text, start=start)
        parser.statements(("}",))
        return parser.expect("}").start


@contextmanager
def _bounded() -> Iterator[None]:
    """Convert Python's RecursionError, which `!!!!…` causes, to an error of the expression."""
    try:
        yield
    except RecursionError:
        raise ExpressionError("the expression is nested too deeply", offset=0, hint="simplify it") from None


class Parser(TokenReader):
    """Reads a text as Ruby would."""

    def _code(self, position: int) -> tuple[Node, int]:
        inner = Parser(self.text, start=position, variables=self.variables, scopes=self.scopes, depth=self.depth + 1)
        node = inner.statements(("}",))
        return node, inner.expect("}").end

    # statements

    def statements(self, ends: tuple[str, ...]) -> Node:
        """Parse statements up to one of these tokens."""
        first = self.token.start
        found: list[Node] = []
        while True:
            while self.accept("nl", ";"):
                pass
            if self.token.kind in ends or self.token.kind == "eof":
                break
            found.append(self.statement())
            if not self.at("nl", ";", *ends):
                raise self.unexpected(" or ".join(ends) if "eof" not in ends else "an operator or the end")
        return found[0] if len(found) == 1 else Seq(first, found)

    def body(self) -> Node:
        """Parse the body of `do … end`."""
        return keywords.body_with_rescue(self, self.token.start)

    def statement(self) -> Node:
        """Parse one statement with its modifiers."""
        node = self.alternatives()
        while True:
            offset = self.token.start
            if self.accept("if"):
                node = If(offset, self.alternatives(), node, Literal(offset, None))
            elif self.accept("unless"):
                node = If(offset, self.alternatives(), Literal(offset, None), node)
            elif self.at("while", "until"):
                negated = self.advance().kind == "until"
                test = self.alternatives()
                test = Not(test.offset, test) if negated else test
                node = While(offset, test, node, body_first=isinstance(node, Begin))
            elif self.accept("rescue"):
                node = Begin(offset, node, [Rescue(offset, [], None, self.alternatives())])
            else:
                return node

    def alternatives(self) -> Node:
        """Parse operands of `and`, `or` and `not`, and an assignment to several targets."""
        node = self._negation()
        if self.at(",") and _assignable(node) and targets.separates_targets(self):
            node = targets.several(self, node)
        while self.at("and", "or"):
            operator = self.advance()
            self.skip_newlines()
            right = self._negation()
            node = (And if operator.kind == "and" else Or)(node.offset, node, right)
        return node

    def _negation(self) -> Node:
        if token := self.accept("not"):
            return Not(token.start, self._negation())
        if self.at("*"):
            return targets.several_from_splat(self)
        return self.expression()

    # expressions

    def expression(self) -> Node:
        """Parse an expression with its assignments."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpressionError(
                "the expression is nested too deeply", offset=self.token.start, hint="use a variable for inner parts"
            )
        try:
            return self._assignment(self._ternary())
        finally:
            self.depth -= 1

    def _assignment(self, left: Node) -> Node:
        if not self.at("=", *_ASSIGNMENTS) or not _assignable(left):
            return left
        operator = self.advance()
        self.skip_newlines()
        target = self.target(left)
        value = calls.splat_or_expression(self)
        if isinstance(value, Splat):
            value = Array(value.offset, [value])
        if rescue := self.accept("rescue"):
            value = Begin(rescue.start, value, [Rescue(rescue.start, [], None, self.expression())])
        if operator.kind == "=":
            return Assign(left.offset, target, value)
        return OpAssign(left.offset, target, operator.kind[:-1], value)

    def target(self, node: Node) -> Node:
        """Return the target of an assignment to `node`."""
        if isinstance(node, Name):
            if node.name[-1] in "?!" or node.name == "self":
                raise ExpressionError(
                    f"{node.name} cannot be assigned to", offset=node.offset, hint="use another name for the variable"
                )
            self.declare(node.name)
            return Local(node.offset, node.name)
        return node

    def _ternary(self) -> Node:
        test = self._range()
        if not self.at("?"):
            return test
        offset = self.advance().start
        self.skip_newlines()
        then = self._assignment(self._ternary())
        self.skip_newlines()
        if self.at("label"):  # `a ? b : c` written `a ? b :c` lexes fine, `x ?y: z` ends here
            raise self.unexpected(":")
        self.expect(":")
        self.skip_newlines()
        return If(offset, test, then, self._assignment(self._ternary()))

    def _range(self) -> Node:
        if self.at("..", "..."):
            operator = self.advance()
            return Range(operator.start, None, self._binary(2), operator.kind == "...")
        low = self._binary(2)
        if not self.at("..", "..."):
            return low
        operator = self.advance()
        high = None if self.at(*_ENDS) else self._binary(2)
        return Range(low.offset, low, high, operator.kind == "...")

    def _binary(self, minimum: int) -> Node:
        left = self._unary()
        while (level := _BINARY.get(self.token.kind, 0)) >= minimum:
            operator = self.advance()
            self.skip_newlines()
            if level == _BINARY["&&"] and self.at("not"):
                right = self._negation()
            else:
                right = self._binary(level if operator.kind == "**" else level + 1)
            if operator.kind in ("||", "&&"):
                right = self._assignment(right)
            left = self._operation(operator, left, right)
        return left

    def _operation(self, operator: Token, left: Node, right: Node) -> Node:
        match operator.kind:
            case "||":
                return Or(left.offset, left, right)
            case "&&":
                return And(left.offset, left, right)
            case "!=" | "!~":
                opposite = "==" if operator.kind == "!=" else "=~"
                return Not(operator.start, Call(operator.start, left, opposite, [right]))
            case "=~" if isinstance(left, Regexp) and left.source.constant is not None:
                for name in _GROUP_NAME.findall(left.source.constant):
                    self.declare(name)
        return Call(operator.start, left, operator.kind, [right])

    def _unary(self) -> Node:
        token = self.token
        match token.kind:
            case "!":
                self.advance()
                return Not(token.start, self._unary())
            case "-":
                self.advance()
                if self.token.kind == "number" and not self.token.space:
                    return self._negative_number(token)
                return Call(token.start, self._binary(_UNARY_MINUS), "-@", [])
            case "+" | "~":
                self.advance()
                return Call(token.start, self._unary(), token.kind + "@" if token.kind == "+" else "~", [])
            case "&":
                raise self.unexpected()
            case "defined?":
                self.advance()
                return Defined(token.start, self._unary())
        return calls.postfix(self, self.primary())

    def _negative_number(self, sign: Token) -> Node:
        number = self.advance()
        value = number.value if isinstance(number.value, (int, float)) else 0
        if self.at("**"):
            self.advance()
            power = Call(number.start, Literal(number.start, value), "**", [self._binary(_BINARY["**"])])
            return Call(sign.start, power, "-@", [])
        return calls.postfix(self, Literal(sign.start, -value))

    def primary(self) -> Node:
        """Parse a value."""
        return parse_primary(self)


def _assignable(node: Node) -> bool:
    """Return whether the node can be assigned to."""
    if isinstance(node, Call):
        return node.receiver is not None and (node.name == "[]" or (not node.args and node.name[0].isalpha()))
    return isinstance(node, (Name, Local, InstanceVariable))
