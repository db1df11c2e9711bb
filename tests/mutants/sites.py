"""All mistakes that can be planted in a file: each changes one thing in its syntax tree, and one stretch of its text.

Left alone is what only people or tools read: docstrings, types, text, messages to the log, assertions, decorators.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

COMPARISONS: Final[dict[type[ast.cmpop], list[type[ast.cmpop]]]] = {
    ast.Lt: [ast.LtE, ast.GtE],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.LtE],
    ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
}
ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
LOG_CALLS: Final = {"debug", "info", "warning", "error", "exception"}
LARGEST_COUNT: Final = 64
"""Numbers up to here become one more and one less. Larger ones, and those with a point, are sizes and times: 0."""
UNORDERED: Final = {"min", "max", "isinstance", "getattr", "setattr", "hasattr", "issubclass"}
"""Functions whose arguments are not swapped: it changes nothing, or nothing that runs."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake."""

    file: Path
    function: str
    """By its qualified name; empty where it is in none."""
    line: int
    start: int
    """Where in the file's bytes the text stands that is replaced, and `stop` where it ends."""
    stop: int
    text: str
    """What stands there instead."""
    change: str
    """Old and new, as people read them; numbered where a function has several of it."""
    statement: tuple[int, int]
    """Line and column of the statement that it is in."""
    name: str = ""
    """Of one that is always planted."""

    @property
    def key(self) -> str:
        """What it is told by from run to run: it stays while its file moves, and while other lines change."""
        return f"{self.file.name} {self.function}: {self.name or self.change}"

    def planted(self, source: bytes) -> bytes:
        """Return the file with it."""
        return source[: self.start] + self.text.encode() + source[self.stop :]


class Text:
    """A file's text by the places of its tree."""

    def __init__(self, source: bytes) -> None:
        self.tree = ast.parse(source)
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Return the place of a node in the file's bytes."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset


def mutants(file: Path, source: bytes) -> list[Mutant]:
    """Return every mistake that can be planted in a file, in the order of its text."""
    found = sorted(_Finder(file, Text(source)).all(), key=lambda each: (each.start, each.stop, each.text))
    seen: Counter[str] = Counter()
    numbered = []
    for each in found:
        seen[each.key] += 1
        number = seen[each.key]
        numbered.append(each if number == 1 else replace(each, change=f"{each.change} ({number})"))
    return numbered


class _Finder:
    """Walks a file's tree."""

    def __init__(self, file: Path, text: Text) -> None:
        self._file = file
        self._text = text
        self._names: list[str] = []
        self._statement: ast.stmt | None = None

    def all(self) -> Iterator[Mutant]:
        """Yield what can be planted."""
        for statement in self._text.tree.body:
            yield from self._in_statement(statement)

    def _in_statement(self, statement: ast.stmt) -> Iterator[Mutant]:
        if _is_left_alone(statement):
            return
        before, self._statement = self._statement, statement
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            self._names.append(statement.name)
            if not isinstance(statement, ast.ClassDef):
                for default in (*statement.args.defaults, *filter(None, statement.args.kw_defaults)):
                    yield from self._in_expression(default)
            for each in statement.body:
                yield from self._in_statement(each)
            self._names.pop()
        else:
            for new in _statements_instead(statement, self._names):
                yield self._mutant(statement, new)
            yield from self._in_children(statement)
        self._statement = before

    def _in_children(self, node: ast.AST) -> Iterator[Mutant]:
        for name, value in ast.iter_fields(node):
            if name in {"annotation", "returns", "pattern"}:
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.stmt):
                    yield from self._in_statement(child)
                elif isinstance(child, ast.expr):
                    is_test = name == "test" or (name == "ifs" and isinstance(node, ast.comprehension))
                    yield from self._in_expression(child, is_test=is_test or name == "guard")
                elif isinstance(child, ast.withitem):
                    yield from self._in_with(child)
                elif isinstance(child, ast.AST):
                    yield from self._in_children(child)

    def _in_with(self, item: ast.withitem) -> Iterator[Mutant]:
        if item.optional_vars is None:
            yield self._mutant(item.context_expr, '__import__("contextlib").nullcontext()')
        yield from self._in_expression(item.context_expr)

    def _in_expression(self, node: ast.expr, *, is_test: bool = False) -> Iterator[Mutant]:
        if isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "ctx", None), (ast.Store, ast.Del)):
            return
        for new in _expressions_instead(node, is_test=is_test):
            yield self._mutant(node, f"({ast.unparse(new)})")
        yield from self._in_children(node)

    def _mutant(self, node: ast.expr | ast.stmt, text: str) -> Mutant:
        start, stop = self._text.span(node)
        statement = self._statement
        assert statement is not None
        old = " ".join(ast.unparse(node).split())
        change = f"{old} -> {text.removeprefix('(').removesuffix(')') if text[0] == '(' else text}"
        place = (statement.lineno, statement.col_offset)
        return Mutant(self._file, ".".join(self._names), node.lineno, start, stop, text, change, place)


def _is_left_alone(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.ClassDef):
        return any(ast.unparse(base).startswith("Protocol") for base in statement.bases)
    if isinstance(statement, ast.Expr):
        value = statement.value
        return isinstance(value, ast.Constant) or (isinstance(value, ast.Call) and _is_log_call(value))
    return isinstance(statement, (ast.Assert, ast.Import, ast.ImportFrom))


def _is_log_call(call: ast.Call) -> bool:
    function = call.func
    return isinstance(function, ast.Attribute) and function.attr in LOG_CALLS and "log" in ast.unparse(function.value)


def _statements_instead(statement: ast.stmt, function: list[str]) -> Iterator[str]:
    match statement:
        case ast.Expr() | ast.Raise() | ast.Delete() | ast.AugAssign() if function:
            yield "pass"
        case ast.Assign(targets=[target]) if function and function[-1] != "__init__" and not _is_name(target):
            yield "pass"
        case ast.Return(value=ast.expr() as value) if not _is_nothing(value):
            yield "return None"
        case ast.Break():
            yield "continue"
        case ast.Continue():
            yield "break"
    if isinstance(statement, ast.AugAssign) and (other := ARITHMETIC.get(type(statement.op))):
        yield ast.unparse(ast.AugAssign(statement.target, other(), statement.value))


def _is_nothing(value: ast.expr) -> bool:
    """Return whether a value is None, or True or False, which have a change of their own."""
    return isinstance(value, ast.Constant) and (value.value is None or isinstance(value.value, bool))


def _is_name(target: ast.expr) -> bool:
    if isinstance(target, ast.Tuple):
        return any(map(_is_name, target.elts))
    return isinstance(target, ast.Name)


def _expressions_instead(node: ast.expr, *, is_test: bool) -> Iterator[ast.expr]:
    match node:
        case ast.Compare():
            for place, op in enumerate(node.ops):
                for other in COMPARISONS[type(op)]:
                    yield ast.Compare(node.left, [*node.ops[:place], other(), *node.ops[place + 1 :]], node.comparators)
        case ast.BoolOp():
            yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node.operand
        case ast.BinOp() if type(node.op) in ARITHMETIC and not _is_text(node):
            yield ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int() as number) if abs(number) <= LARGEST_COUNT:
            yield ast.Constant(number + 1)
            if number:
                yield ast.Constant(number - 1)
        case ast.Constant(value=int() | float()) if node.value:
            yield ast.Constant(0)
        case ast.Constant(value=bytes()):
            yield ast.Constant(b"" if node.value else b"!")
        case ast.Call(func=ast.Name(id="min" | "max" as name), args=args, keywords=keywords):
            yield ast.Call(ast.Name("max" if name == "min" else "min"), args, keywords)
        case ast.Call(args=[first, second, *rest]) if _are_swapped(node, first, second):
            yield ast.Call(node.func, [second, first, *rest], node.keywords)
    if is_test and not isinstance(node, (ast.Compare, ast.BoolOp, ast.UnaryOp)):
        yield ast.UnaryOp(ast.Not(), node)


def _is_text(node: ast.BinOp) -> bool:
    sides = (node.left, node.right)
    return any(isinstance(side, (ast.JoinedStr, ast.List)) or _holds_text(side) for side in sides)


def _holds_text(side: ast.expr) -> bool:
    return isinstance(side, ast.Constant) and isinstance(side.value, (str, bytes))


def _are_swapped(call: ast.Call, first: ast.expr, second: ast.expr) -> bool:
    if isinstance(first, ast.Starred) or isinstance(second, ast.Starred) or ast.dump(first) == ast.dump(second):
        return False
    if _holds_text(first) and _holds_text(second):
        return False  # a metric's name and what it says
    return not (isinstance(call.func, ast.Name) and call.func.id in UNORDERED)
