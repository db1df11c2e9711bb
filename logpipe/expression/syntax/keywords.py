"""The forms that begin with a keyword: `if`, `case`, `begin`, loops, jumps, and the constants `nil true false self`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from logpipe.errors import ExpressionError
from logpipe.expression.syntax import calls
from logpipe.expression.syntax.nodes import (
    Begin,
    Case,
    For,
    If,
    Jump,
    Literal,
    Name,
    Node,
    Not,
    Rescue,
    Str,
    When,
    While,
)
from logpipe.expression.syntax.targets import assignment_target
from logpipe.expression.syntax.tokens import TokenReader


def _nil(parser: TokenReader) -> Node:
    return Literal(parser.advance().start, None)


def _true(parser: TokenReader) -> Node:
    return Literal(parser.advance().start, True)


def _false(parser: TokenReader) -> Node:
    return Literal(parser.advance().start, False)


def _self(parser: TokenReader) -> Node:
    return Name(parser.advance().start, "self")


def _if(parser: TokenReader) -> Node:
    offset = parser.advance().start
    test = _condition(parser)
    _then(parser)
    then = parser.statements(("elsif", "else", "end"))
    if parser.at("elsif"):
        return If(offset, test, then, _if(parser))
    otherwise = _else(parser, offset)
    parser.expect("end")
    return If(offset, test, then, otherwise)


def _unless(parser: TokenReader) -> Node:
    offset = parser.advance().start
    test = _condition(parser)
    _then(parser)
    body = parser.statements(("else", "end"))
    otherwise = _else(parser, offset)
    parser.expect("end")
    return If(offset, test, otherwise, body)


def _condition(parser: TokenReader) -> Node:
    """Parse the test of a form whose body may begin with `do` or `then`."""
    parser.no_do += 1
    test = parser.alternatives()
    parser.no_do -= 1
    return test


def _then(parser: TokenReader) -> None:
    if not parser.at("then", "nl", ";"):
        raise parser.unexpected("then or a line break")
    while parser.accept("nl", ";"):
        pass
    parser.accept("then")


def _else(parser: TokenReader, offset: int) -> Node:
    return parser.statements(("end",)) if parser.accept("else") else Literal(offset, None)


def _case(parser: TokenReader) -> Node:
    offset = parser.advance().start
    subject = None if parser.at("nl", ";", "when") else parser.alternatives()
    while parser.accept("nl", ";"):
        pass
    if parser.at("in"):
        raise ExpressionError("case … in is not supported", offset=parser.token.start, hint="use case … when")
    whens: list[When] = []
    while token := parser.accept("when"):
        tests = [calls.splat_or_expression(parser)]
        while parser.accept(","):
            parser.skip_newlines()
            tests.append(calls.splat_or_expression(parser))
        _then(parser)
        whens.append(When(token.start, tests, parser.statements(("when", "else", "end"))))
    if not whens:
        raise parser.unexpected("when")
    otherwise = _else(parser, offset)
    parser.expect("end")
    return Case(offset, subject, whens, otherwise)


def _while(parser: TokenReader) -> Node:
    opening = parser.advance()
    test = _condition(parser)
    parser.accept("do")
    body = parser.statements(("end",))
    parser.expect("end")
    return While(opening.start, Not(test.offset, test) if opening.kind == "until" else test, body)


def _for(parser: TokenReader) -> Node:
    offset = parser.advance().start
    targets = [assignment_target(parser)]
    while parser.accept(","):
        targets.append(assignment_target(parser))
    parser.expect("in")
    values = _condition(parser)
    parser.accept("do")
    body = parser.statements(("end",))
    parser.expect("end")
    return For(offset, targets, values, body)


def _begin(parser: TokenReader) -> Node:
    offset = parser.advance().start
    node = body_with_rescue(parser, offset)
    parser.expect("end")
    return node if isinstance(node, Begin) else Begin(offset, node, [])


def body_with_rescue(parser: TokenReader, offset: int) -> Node:
    """Parse statements with their rescue, else and ensure clauses, up to but not including `end`."""
    body = parser.statements(("rescue", "else", "ensure", "end"))
    rescues: list[Rescue] = []
    while token := parser.accept("rescue"):
        classes: list[Node] = []
        while not parser.at("nl", ";", "then", "=>"):
            classes.append(calls.splat_or_expression(parser))
            if not parser.accept(","):
                break
        name = None
        if parser.accept("=>"):
            name = parser.expect("ident").text
            parser.declare(name)
        if not parser.at("rescue", "else", "ensure", "end"):
            _then(parser)
        rescues.append(Rescue(token.start, classes, name, parser.statements(("rescue", "else", "ensure", "end"))))
    otherwise = parser.statements(("ensure", "end")) if parser.accept("else") else None
    ensure = parser.statements(("end",)) if parser.accept("ensure") else None
    if not rescues and otherwise is None and ensure is None:
        return body
    return Begin(offset, body, rescues, otherwise, ensure)


def _jump(parser: TokenReader) -> Node:
    token = parser.advance()
    ends = parser.at("nl", ";", "eof", "}", ")", "end", "if", "unless", "else", "elsif", "when", "rescue", "ensure")
    return Jump(token.start, token.kind, Literal(token.start, None) if ends else parser.expression())


def _file(parser: TokenReader) -> Node:
    return Str(parser.advance().start, ["(eval)"])


def _no_definitions(parser: TokenReader) -> Node:
    token = parser.token
    raise ExpressionError(f"{token.kind} is not supported in an expression", offset=token.start, hint="use a lambda")


FORMS: Final[dict[str, Callable[[TokenReader], Node]]] = {
    "nil": _nil,
    "true": _true,
    "false": _false,
    "self": _self,
    "if": _if,
    "unless": _unless,
    "case": _case,
    "while": _while,
    "until": _while,
    "for": _for,
    "begin": _begin,
    "next": _jump,
    "break": _jump,
    "return": _jump,
    "__FILE__": _file,
    **dict.fromkeys(
        ("def", "class", "module", "alias", "undef", "BEGIN", "END", "super", "yield", "redo", "retry"), _no_definitions
    ),
}
