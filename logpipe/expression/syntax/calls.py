"""Calls: words, arguments, blocks, and suffixes of values: `.name`, `[…]`, `&.`, `::`."""

from __future__ import annotations

import re
from typing import Final

from logpipe.errors import ExpressionError
from logpipe.expression.syntax.literals import Parsed
from logpipe.expression.syntax.nodes import (
    Block,
    BlockPass,
    Call,
    Const,
    Hash,
    Lambda,
    Local,
    Name,
    Node,
    Parameter,
    Splat,
    Str,
    Sym,
)
from logpipe.expression.syntax.tokens import TokenReader

_ARGUMENT_KINDS: Final = """
number str xstr sym regexp words symbols ident const ivar gvar label nil true false self -> ! case
defined? not __FILE__ __LINE__
"""
_BEGINS_ARGUMENT: Final = frozenset(_ARGUMENT_KINDS.split())
_BEGINS_IF_CLOSE: Final = frozenset({"-", "*", "&", "**", "::", "[", ":"})
_OPERATOR_LIST: Final = "+ - * / % ** == != < > <= >= <=> === << >> & | ^ ! =~ !~"
_OPERATOR_NAMES: Final = frozenset(_OPERATOR_LIST.split())
_NUMBERED: Final = re.compile(r"_[1-9]")


def word(parser: TokenReader) -> Node:
    """Parse a word as a value: a variable, a bare name, a constant, or a call without a receiver."""
    token = parser.advance()
    name, offset = token.text, token.start
    if parser.at("(") and not parser.token.space:
        parser.advance()
        return with_block(parser, _call(offset, None, name, arguments(parser, ")")))
    if parser.is_assigned(name):
        return Local(offset, name)
    if name in parser.variables:
        return Name(offset, name)
    if _NUMBERED.fullmatch(name) and len(parser.scopes) > 1:
        for number in range(1, int(name[1:]) + 1):
            parser.scopes[-1].add(f"_{number}")
        return Local(offset, name)
    if token.kind == "const" and not parser.at("str"):
        return Const(offset, name)
    if begins_argument(parser):
        return _command(parser, offset, None, name)
    if _block_begins(parser):
        return with_block(parser, _call(offset, None, name, []))
    return Name(offset, name)


def postfix(parser: TokenReader, node: Node) -> Node:
    """Parse the calls and indices that follow a value."""
    while True:
        token = parser.token
        if token.kind in (".", "&."):
            parser.advance()
            node = _method(parser, node, safe=token.kind == "&.")
        elif token.kind == "::":
            parser.advance()
            if parser.at("const") and isinstance(node, Const):
                constant = parser.advance()
                if parser.at("(") and not parser.token.space:
                    parser.advance()
                    node = with_block(parser, _call(constant.start, node, constant.text, arguments(parser, ")")))
                else:
                    node = Const(node.offset, f"{node.path}::{constant.text}")
            else:
                node = _method(parser, node, safe=False)
        elif token.kind == "[" and not (token.space and isinstance(node, Name)):
            parser.advance()
            node = Call(token.start, node, "[]", arguments(parser, "]"))
        else:
            return node


def _method(parser: TokenReader, receiver: Node, *, safe: bool) -> Node:
    parser.skip_newlines()
    token = parser.token
    if token.kind == "(":  # proc.(x)
        parser.advance()
        return Call(token.start, receiver, "call", arguments(parser, ")"), safe=safe)
    name = token.text
    if token.kind == "[" and parser.text.startswith("]", token.end):  # x.[](y)
        parser.advance()
        token, name = parser.token, "[]"
    if not (name == "[]" or name[:1].isalpha() or name[:1] == "_" or token.kind in _OPERATOR_NAMES):
        raise parser.unexpected("a method's name")
    parser.advance()
    call = Call(token.start, receiver, name, [], safe=safe)
    if parser.at("(") and not parser.token.space:
        parser.advance()
        call.args = arguments(parser, ")")
    elif begins_argument(parser):
        command = _command(parser, token.start, receiver, name)
        if isinstance(command, Call):
            command.safe = safe
        return command
    return with_block(parser, call)


def _command(parser: TokenReader, offset: int, receiver: Node | None, name: str) -> Node:
    """Parse a call whose arguments have no parentheses."""
    parser.no_do += 1
    args = [_argument(parser)]
    while parser.accept(","):
        parser.skip_newlines()
        args.append(_argument(parser))
    parser.no_do -= 1
    return with_block(parser, _call(offset, receiver, name, _gather(args)))


def begins_argument(parser: TokenReader) -> bool:
    """Whether the current token begins the first argument of a call without parentheses."""
    token = parser.token
    if not token.space:
        return token.kind == "const" and parser.text[token.start - 1] in "?!"  # x.is_a?String
    if token.kind in _BEGINS_ARGUMENT or token.kind == "(":
        return True
    follows_closely = not parser.text[token.end : token.end + 1].isspace()
    return token.kind in _BEGINS_IF_CLOSE and follows_closely and token.kind != ":"


def arguments(parser: TokenReader, closer: str) -> list[Node]:
    """Parse arguments or items up to and including `closer`; trailing pairs become one Hash without braces."""
    held, parser.no_do = parser.no_do, 0
    args: list[Node] = []
    parser.skip_newlines()
    while not parser.at(closer):
        args.append(_argument(parser))
        parser.skip_newlines()
        if not parser.accept(","):
            break
        parser.skip_newlines()
    parser.expect(closer)
    parser.no_do = held
    return _gather(args)


def _argument(parser: TokenReader) -> Node:
    token = parser.token
    if token.kind == "&":
        parser.advance()
        return BlockPass(token.start, parser.expression())
    if token.kind == "**":
        parser.advance()
        return Hash(token.start, [(None, parser.expression())], braces=False)
    if token.kind == "label":
        return Hash(token.start, [pair(parser)], braces=False)
    value = splat_or_expression(parser)
    if parser.at("=>"):
        parser.advance()
        parser.skip_newlines()
        return Hash(token.start, [(value, parser.expression())], braces=False)
    return value


def _gather(args: list[Node]) -> list[Node]:
    """Join adjacent pairs to one Hash."""
    gathered: list[Node] = []
    for arg in args:
        last = gathered[-1] if gathered else None
        if isinstance(arg, Hash) and not arg.braces and isinstance(last, Hash) and not last.braces:
            last.pairs += arg.pairs
        else:
            gathered.append(arg)
    return gathered


def pair(parser: TokenReader) -> tuple[Node | None, Node]:
    """Parse `k => v`, `k: v`, `"k": v`, `k:` or `**h`; a label's key is a symbol."""
    token = parser.token
    if token.kind == "**":
        parser.advance()
        return None, parser.expression()
    if token.kind == "label":
        parser.advance()
        parts = token.value.parts if isinstance(token.value, Parsed) else []
        key = Sym(token.start, Str(token.start, parts))
        if parser.at(",", "}", ")"):
            name = key.text.constant or ""
            if not name.isidentifier():
                raise parser.unexpected()
            return key, Local(token.start, name) if parser.is_assigned(name) else Name(token.start, name)
        parser.skip_newlines()
        return key, parser.expression()
    key_node = parser.expression()
    parser.skip_newlines()
    parser.expect("=>")
    parser.skip_newlines()
    return key_node, parser.expression()


def splat_or_expression(parser: TokenReader) -> Node:
    """Parse `*value` or a plain expression."""
    if token := parser.accept("*"):
        return Splat(token.start, parser.expression())
    if token := parser.accept("not"):
        raise ExpressionError("not needs parentheses here", offset=token.start, hint="write !value")
    return parser.expression()


def _call(offset: int, receiver: Node | None, name: str, args: list[Node]) -> Call:
    """Build a call, with its `&block` argument as the block."""
    call = Call(offset, receiver, name, args)
    if args and isinstance(args[-1], BlockPass):
        call.block = args.pop()  # type: ignore[assignment]  # narrowed on the line above
    return call


def _block_begins(parser: TokenReader) -> bool:
    return parser.at("{") or (parser.at("do") and parser.no_do == 0)


def with_block(parser: TokenReader, call: Call) -> Node:
    """Parse the block after a call; `lambda { … }` and `proc { … }` become a Lambda."""
    if call.args and isinstance(call.args[-1], BlockPass):
        passed = call.args.pop()
        call.block = passed if isinstance(passed, BlockPass) else None
    if _block_begins(parser):
        call.block = block(parser)
        if call.receiver is None and call.name in ("lambda", "proc") and not call.args:
            return Lambda(call.offset, call.block, strict=call.name == "lambda")
    return call


def block(parser: TokenReader) -> Block:
    """Parse `{ |a, b| body }` or `do |a, b| body end`."""
    opening = parser.advance()
    closer = "}" if opening.kind == "{" else "end"
    held, parser.no_do = parser.no_do, 0
    parser.scopes.append(set())
    parameters: list[Parameter] = []
    trailing = False
    parser.skip_newlines()
    if parser.accept("||"):
        pass
    elif parser.accept("|"):
        parameters, trailing = _parameters(parser, "|")
    body = parser.statements((closer,)) if closer == "}" else parser.body()
    numbered = sorted(name for name in parser.scopes.pop() if _NUMBERED.fullmatch(name))
    if not parameters and numbered:
        parameters = [Parameter(opening.start, name) for name in numbered]
    _close_block(parser, closer)
    parser.no_do = held
    return Block(opening.start, parameters, body, trailing)


def _close_block(parser: TokenReader, closer: str) -> None:
    if not parser.at(closer):
        raise parser.unexpected(closer)
    parser.advance()


def _parameters(parser: TokenReader, closer: str) -> tuple[list[Parameter], bool]:
    """Parse parameters up to and including `closer`; returns them and whether a comma came last."""
    parameters: list[Parameter] = []
    trailing = False
    while not parser.at(closer):
        if parser.accept(";"):  # block-local variables
            while token := parser.accept("ident"):
                parser.scopes[-1].add(token.text)
                parser.accept(",")
            break
        parameters.append(_parameter(parser, closer))
        trailing = parser.accept(",") is not None
        if not trailing and not parser.at(";"):
            break
    if not parser.at(closer):
        raise parser.unexpected(closer)
    parser.advance()
    return parameters, trailing and len(parameters) == 1


def _parameter(parser: TokenReader, closer: str) -> Parameter:
    token = parser.token
    if parser.accept("("):
        nested, _ = _parameters(parser, ")")
        return Parameter(token.start, nested=nested)
    if parser.accept("*"):
        name = parser.advance().text if parser.at("ident") else ""
        parser.scopes[-1].add(name)
        return Parameter(token.start, name, rest=True)
    if parser.at("&", "**", "label"):
        raise ExpressionError(
            f"parameter {parser.text[token.start : token.end]!r} is not supported",
            offset=token.start,
            hint="use plain parameters",
        )
    name = parser.expect("ident").text
    if name[-1] in "?!":
        raise ExpressionError(f"{name} is no name for a parameter", offset=token.start, hint="use another name")
    parser.scopes[-1].add(name)
    if not parser.accept("="):
        return Parameter(token.start, name)
    default = parser.primary() if closer == "|" else parser.expression()
    return Parameter(token.start, name, default=default)


def arrow_lambda(parser: TokenReader) -> Node:
    """Parse `->(x) { body }`, `-> x { body }` or `-> { body }`."""
    opening = parser.advance()
    parser.scopes.append(set())
    parameters: list[Parameter] = []
    if parser.accept("("):
        parameters, _ = _parameters(parser, ")")
    else:
        while parser.at("ident"):
            parameters.append(_parameter(parser, "{"))
            parser.accept(",")
    if not parser.at("{", "do"):
        raise parser.unexpected("{")
    closer = "}" if parser.advance().kind == "{" else "end"
    held, parser.no_do = parser.no_do, 0
    body = parser.statements((closer,))
    parser.no_do = held
    parser.scopes.pop()
    _close_block(parser, closer)
    return Lambda(opening.start, Block(opening.start, parameters, body))
