"""Assignments to several targets: `a, (b, *c), d[0] = values`."""

from __future__ import annotations

import re
from typing import Final

from logpipe.errors import ExpressionError
from logpipe.expression.syntax import calls
from logpipe.expression.syntax.nodes import Array, Local, MultiAssign, Node, Parameter, Splat
from logpipe.expression.syntax.tokens import TokenReader

_UP_TO_EQUALS: Final = re.compile(r"[^=;\n]*[^=!<>;\n]=(?![=~>])")


def separates_targets(parser: TokenReader) -> bool:
    """Return whether a comma here separates targets, since `a, b = …` follows."""
    return (
        re.match(r"[^=;\n]*[^=!<>;\n]=(?![=~>])", parser.text[parser.token.start :]) is not None and parser.no_do == 0
    )


def several(parser: TokenReader, first: Node) -> Node:
    """Parse the targets after the first, and the values."""
    targets: list[Node | Parameter] = [parser.target(first)]
    while parser.accept(","):
        if parser.at("="):
            break
        targets.append(assignment_target(parser))
    parser.expect("=")
    parser.skip_newlines()
    return MultiAssign(first.offset, targets, _values(parser))


def several_from_splat(parser: TokenReader) -> Node:
    """Parse `*rest, last = values`."""
    offset = parser.token.start
    targets: list[Node | Parameter] = [assignment_target(parser)]
    while parser.accept(","):
        targets.append(assignment_target(parser))
    parser.expect("=")
    parser.skip_newlines()
    return MultiAssign(offset, targets, _values(parser))


def _values(parser: TokenReader) -> Node:
    """Parse the right side of the equals sign: several values are an array."""
    value = calls.splat_or_expression(parser)
    if not parser.at(",") and not isinstance(value, Splat):
        return value
    items = [value]
    while parser.accept(","):
        items.append(calls.splat_or_expression(parser))
    return Array(value.offset, items)


def assignment_target(parser: TokenReader) -> Node | Parameter:
    """Parse one target of `a, (b, *c), d[0] = …`."""
    token = parser.token
    if parser.accept("*"):
        name = parser.advance().text if parser.at("ident") else ""
        parser.declare(name)
        return Parameter(token.start, name, rest=True)
    if parser.accept("("):
        nested = [assignment_target(parser)]
        while parser.accept(","):
            nested.append(assignment_target(parser))
        parser.expect(")")
        return Parameter(token.start, nested=[_as_parameter(target) for target in nested])
    return parser.target(calls.postfix(parser, parser.primary()))


def _as_parameter(target: Node | Parameter) -> Parameter:
    if isinstance(target, Parameter):
        return target
    if isinstance(target, Local):
        return Parameter(target.offset, target.name)
    raise ExpressionError("only variables can be nested here", offset=target.offset, hint="assign it on its own")
