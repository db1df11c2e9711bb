"""Values without operators and calls after them: literals, words, brackets, and forms with a keyword."""

from __future__ import annotations

from logpipe.expression.syntax import calls, keywords
from logpipe.expression.syntax.lexer import Token
from logpipe.expression.syntax.literals import Parsed
from logpipe.expression.syntax.nodes import (
    Array,
    Const,
    GlobalVariable,
    Hash,
    InstanceVariable,
    Literal,
    Node,
    Refused,
    Regexp,
    Seq,
    Str,
    Sym,
)
from logpipe.expression.syntax.tokens import TokenReader


def parse_primary(parser: TokenReader) -> Node:
    """Parse a value without operators and calls after it."""
    token = parser.token
    if form := keywords.FORMS.get(token.kind):
        return form(parser)
    offset = token.start
    match token.kind:
        case "number":
            parser.advance()
            return Literal(offset, token.value if isinstance(token.value, (int, float)) else 0)
        case "str":
            return _adjacent_strings(parser)
        case "sym":
            parser.advance()
            return Sym(offset, Str(offset, _parsed(token).parts))
        case "xstr":
            parser.advance()
            return Refused(offset, "a command in backticks", "use an exec input or a plugin")
        case "regexp":
            parser.advance()
            return Regexp(offset, Str(offset, _parsed(token).parts), _parsed(token).flags)
        case "words" | "symbols":
            parser.advance()
            words = [Str(offset, parts) for parts in _parsed(token).words]
            return Array(offset, [Sym(offset, word) if token.kind == "symbols" else word for word in words])
        case "ivar":
            parser.advance()
            return InstanceVariable(offset, token.text)
        case "gvar":
            parser.advance()
            return GlobalVariable(offset, token.text)
        case "::":
            parser.advance()
            return Const(offset, parser.expect("const").text)
        case "ident" | "const":
            return calls.word(parser)
        case "(":
            return _parenthesised(parser)
        case "[":
            parser.advance()
            return Array(offset, calls.arguments(parser, "]"))
        case "{":
            return _hash(parser)
        case "->":
            return calls.arrow_lambda(parser)
    raise parser.unexpected()


def _adjacent_strings(parser: TokenReader) -> Str:
    token = parser.advance()
    parts = list(_parsed(token).parts)
    while parser.at("str"):
        parts += _parsed(parser.advance()).parts
    return Str(token.start, parts)


def _parenthesised(parser: TokenReader) -> Node:
    opening = parser.advance()
    held, parser.no_do = parser.no_do, 0
    node = parser.statements((")",))
    parser.expect(")")
    parser.no_do = held
    if isinstance(node, Seq) and not node.statements:
        return Literal(opening.start, None)
    return node


def _hash(parser: TokenReader) -> Node:
    offset = parser.advance().start
    held, parser.no_do = parser.no_do, 0
    pairs: list[tuple[Node | None, Node]] = []
    parser.skip_newlines()
    while not parser.at("}"):
        pairs.append(calls.pair(parser))
        parser.skip_newlines()
        if not parser.accept(","):
            break
        parser.skip_newlines()
    if not parser.at("}"):
        raise parser.unexpected("}")
    parser.advance()
    parser.no_do = held
    return Hash(offset, pairs)


def _parsed(token: Token) -> Parsed:
    """Return the literal of a token that carries one."""
    return token.value if isinstance(token.value, Parsed) else Parsed("str", token.end)
