"""`"#{…}"` in a configuration: small Ruby programs that run once, when the file is read.

The configuration's parser finds where the code ends with `find_end` and asks for its value with `evaluate_embedded`.
"""

from __future__ import annotations

import enum
import posixpath
from collections.abc import Mapping
from typing import Any, Final

from logpipe.errors import ExpressionError
from logpipe.expression import nodes
from logpipe.expression.parser import code_end, parse

_VARIABLES: Final = ("hostname", "worker_id", "use_nil", "use_default")


class Wanted(enum.Enum):
    """What code asked for instead of giving a value; it decides the whole parameter."""

    NIL = "use_nil"
    DEFAULT = "use_default"


USE_NIL: Final = Wanted.NIL
USE_DEFAULT: Final = Wanted.DEFAULT


class _Asked(Exception):  # noqa: N818 - no error: it unwinds to where the parameter is decided
    def __init__(self, wanted: Wanted) -> None:
        super().__init__(wanted.value)
        self.wanted = wanted


def find_end(text: str, start: int) -> int:
    """Return the offset of the `}` that closes the code beginning at `start`, just behind `#{`.

    Braces and quotes nested in the code are respected.

    Raises:
        ExpressionError: no brace closes it.
    """
    try:
        return code_end(text, start)
    except ExpressionError:
        return _end_by_braces(text, start)


def _end_by_braces(text: str, start: int) -> int:
    """Find the end of code that does not parse, so that its error can name it and not the rest of the file."""
    depth, quote, position = 0, "", start
    while position < len(text):
        char = text[position]
        if char == "\\":
            position += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "}" and depth == 0:
            return position
        else:
            depth += (char == "{") - (char == "}")
        position += 1
    raise ExpressionError("embedded code without its closing }", offset=start, hint="add the closing }")


def evaluate_embedded(code: str, *, env: Mapping[str, str], hostname: str, worker_id: str = "") -> Any:
    """Run embedded code and return its value: text, number, true, false, None, USE_NIL or USE_DEFAULT.

    Raises:
        ExpressionError: the code is no Ruby that we run, or it failed; `offset` counts from the code's beginning.
    """
    tree = parse(code, variables=_VARIABLES)
    try:
        return _Evaluator(env, {"hostname": hostname, "worker_id": worker_id}).value(tree)
    except _Asked as asked:
        return asked.wanted


def to_text(value: Any) -> str:
    """Return the text that a value becomes between quotes, as Ruby's to_s: None gives nothing, True gives `true`."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class _Evaluator:
    """Walks the tree; there is one run, so nothing is worth compiling."""

    def __init__(self, env: Mapping[str, str], names: Mapping[str, str]) -> None:
        self._env = env
        self._names: dict[str, Any] = dict(names)

    def value(self, node: nodes.Node) -> Any:
        match node:
            case nodes.Literal(value=value):
                return value
            case nodes.Str(parts=parts):
                return "".join(part if isinstance(part, str) else to_text(self.value(part)) for part in parts)
            case nodes.Sym(text=text):
                return self.value(text)
            case nodes.Or(left=left, right=right):
                found = self.value(left)
                return self.value(right) if found is None or found is False else found
            case nodes.And(left=left, right=right):
                found = self.value(left)
                return found if found is None or found is False else self.value(right)
            case nodes.Not(value=inner):
                return self.value(inner) in (None, False)
            case nodes.If(test=test, then=then, otherwise=otherwise):
                return self.value(otherwise if self.value(test) in (None, False) else then)
            case nodes.Seq(statements=statements):
                return [None, *(self.value(statement) for statement in statements)][-1]
            case nodes.Local(name=name) | nodes.Name(name=name):
                return self._name(node, name)
            case nodes.Assign(target=nodes.Local(name=name), value=inner):
                self._names[name] = self.value(inner)
                return self._names[name]
            case nodes.Call():
                return self._call(node)
        raise _refused(node)

    def _name(self, node: nodes.Node, name: str) -> Any:
        if name in ("use_nil", "use_default"):
            raise _Asked(Wanted(name))
        if name not in self._names:
            raise ExpressionError(f"unknown name {name}", offset=node.offset, hint="quote it if it is text")
        return self._names[name]

    def _call(self, call: nodes.Call) -> Any:
        args = [self.value(arg) for arg in call.args]
        match call.receiver, call.name, args:
            case nodes.Const(path="ENV"), "[]", [str(key)]:
                return self._env.get(key)
            case nodes.Const(path="ENV"), "fetch", [str(key), *default]:
                if key not in self._env and not default:
                    raise ExpressionError(
                        f"environment variable {key} is not set", offset=call.offset, hint="set it or give a default"
                    )
                return self._env.get(key, *default)
            case nodes.Const(path="Socket"), "gethostname", []:
                return self._names["hostname"]
            case nodes.Const(path="File"), "join", [*parts]:
                return posixpath.join(
                    "", *(str(part).lstrip("/") if at else str(part) for at, part in enumerate(parts))
                )
            case nodes.Node(), name, _ if call.receiver is not None:
                return self._operation(call, name, self.value(call.receiver), args)
        raise _refused(call)

    def _operation(self, call: nodes.Call, name: str, receiver: Any, args: list[Any]) -> Any:
        match name, receiver, args:
            case "==", left, [right]:
                return left == right
            case "+", str(left), [str(right)]:
                return left + right
            case (("+" | "-" | "*"), int(left) | float(left), [int(right) | float(right)]):
                return {"+": left + right, "-": left - right, "*": left * right}[name]
            case "to_s", _, []:
                return to_text(receiver)
            case "to_i", str(text), []:
                digits = text.strip()
                return int(digits) if digits.lstrip("-").isdigit() else 0
            case (("downcase" | "upcase" | "strip"), str(text), []):
                return {"downcase": text.lower(), "upcase": text.upper(), "strip": text.strip()}[name]
        raise _refused(call)


def _refused(node: nodes.Node) -> ExpressionError:
    what = node.name if isinstance(node, nodes.Call) else type(node).__name__.lower()
    return ExpressionError(f"{what} is not supported in a configuration", offset=node.offset, hint="write the value")
