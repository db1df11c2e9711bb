"""Writes one expression as Python statements and an expression, in Ruby's order of evaluation.

Each kind of node has a handler in one of the sibling modules. A handler writes the necessary statements and returns the
Python expression of its value. Where a later operand needs statements, earlier ones are assigned to temporaries first,
so that the order of evaluation is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias, TypeVar

from logpipe.errors import ExpressionError
from logpipe.expression.compiler.context import Context
from logpipe.expression.compiler.source import NIL, Code, Writer
from logpipe.expression.syntax import nodes

N = TypeVar("N", bound=nodes.Node)

Handler: TypeAlias = Callable[["Generator", Any], Code]

HANDLERS: Final[dict[type[nodes.Node], Handler]] = {}
"""Handlers by node type, registered by the sibling modules."""

_MAX_DEPTH: Final = 150


def handles(*kinds: type[nodes.Node]) -> Callable[[Handler], Handler]:
    """Register the handler of node types."""

    def register(handler: Handler) -> Handler:
        for kind in kinds:
            HANDLERS[kind] = handler
        return handler

    return register


class Held(nodes.Node):
    """A node whose value was computed before, for trees that are composed of parts."""

    code: Code


class Scope:
    """The local variables of one generated function."""

    def __init__(self, parent: Scope | None, parameters: Sequence[str] = ()) -> None:
        self.parent = parent
        self.parameters = set(parameters)
        self.names: set[str] = set(parameters)
        self.outer: set[str] = set()
        """Names of an enclosing function that this one assigns: Python's `nonlocal`."""
        self.fresh: set[str] = set()
        """Names whose value was made by this expression and is not shared."""
        self.frozen: set[str] = set()
        """Names whose value was frozen where it was assigned."""
        self.shared: set[str] = set()
        """Names whose value may belong to the record."""

    def owner(self, name: str) -> Scope | None:
        """Return the scope that declares a name."""
        scope: Scope | None = self
        while scope is not None and name not in scope.names:
            scope = scope.parent
        return scope


class Generator:
    """Writes the functions of one expression."""

    def __init__(self, writer: Writer, context: Context) -> None:
        self.writer = writer
        self.context = context
        self.scope = Scope(None)
        self.jumps: list[str] = []
        """The targets of `break` and `next`, innermost last: `loop`, or a block with its number."""
        self.errors: list[str] = []
        """The names of the exceptions that are being rescued, innermost last."""
        self.changes_record = False
        """Whether the expression may change the record or a value in it."""
        self.changes_nested = False
        """Whether it may change a nested value, which other records may share."""
        self.uses: set[str] = set()
        """The names it reads, of record, time and env."""
        self.needs_budget = False
        self.into = ""
        """The name for the value of the current node, if it needs one; handlers must read it first."""
        self._next_into = ""
        self._depth = 0

    # what handlers use

    def value(self, node: nodes.Node) -> Code:
        """Write a node's statements and return the expression of its value.

        Raises:
            ExpressionError: the node uses something that expressions may not.
        """
        self.into, self._next_into = self._next_into, ""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ExpressionError(
                "the expression is nested too deeply", offset=node.offset, hint="use variables for inner parts"
            )
        handler = HANDLERS.get(type(node))
        if handler is None:
            raise ExpressionError("a block cannot stand here", offset=node.offset, hint="remove the &")
        try:
            return handler(self, node)
        finally:
            self._depth -= 1

    def operands(self, wanted: Sequence[nodes.Node]) -> list[Code]:
        """Return the values of several nodes, evaluated from left to right."""
        codes: list[Code] = []
        for node in wanted:
            before = len(self.writer.lines)
            code = self.value(node)
            if len(self.writer.lines) > before:
                self._keep(codes, before)
            codes.append(code)
        return codes

    def _keep(self, codes: list[Code], place: int) -> None:
        """Assign the values so far to temporaries, before the line at `place`."""
        for at, code in enumerate(codes):
            if not code.stable:
                name = self.writer.temporary()
                self.writer.insert(place, f"{name} = {code.text}")
                codes[at] = code._replace(text=name, stable=True)
                place += 1

    def held(self, code: Code, stem: str = "t") -> Code:
        """Return the value as a name that can be used repeatedly."""
        if code.stable:
            return code
        name = self.writer.temporary(stem)
        self.writer.emit(f"{name} = {code.text}")
        return code._replace(text=name, stable=True)

    def discard(self, code: Code) -> None:
        """Write an expression for its side effects only."""
        if not code.stable:
            self.writer.emit(code.text)

    def apart(self, node: nodes.Node, into: str = "") -> tuple[list[str], Code]:
        """Return a node's unwritten statements, and its value, which may already be in `into`."""
        with self.writer.captured() as lines, self.writer.indented():
            self._next_into = into
            code = self.value(node)
        return lines, code

    def function(self, implementation: Callable[..., Any], wanted: str) -> str:
        """Return the name of a function that the source calls."""
        return self.writer.name(implementation, wanted)

    def truth(self, code: Code) -> str:
        """Return the Python condition for a Ruby value."""
        if code.kind is bool:
            return code.text
        if code.kind is type(None):
            return "False"
        if code.kind is not None and code.stable:
            return "True"
        if code.stable:
            return f"{code.text} is not None and {code.text} is not False"
        name = self.writer.temporary()
        return f"({name} := {code.text}) is not None and {name} is not False"

    # variables

    def declare(self, name: str) -> str:
        """Return the Python name of a local variable that is assigned here.

        Raises:
            ExpressionError: it is an instance variable that `prepare_value` made.
        """
        if name.startswith("@") and name in self.context.names:
            hint = "use another name: variables of prepare_value are the same for every event"
            raise ExpressionError(f"{name} cannot be assigned to", offset=0, hint=hint)
        owner = self.scope.owner(name)
        if owner is None:
            self.scope.names.add(name)
        elif owner is not self.scope:
            self.scope.outer.add(name)
        return python_name(name)

    @contextmanager
    def nested(self, parameters: Sequence[str]) -> Iterator[Scope]:
        """Write the body of a nested function."""
        held, self.scope = self.scope, Scope(self.scope, parameters)
        jumps, self.jumps = self.jumps, []
        try:
            yield self.scope
        finally:
            self.scope, self.jumps = held, jumps

    def write_function(self, name: str, parameters: str, body: list[str], scope: Scope) -> None:
        """Write a function around lines that were captured one level deeper, its variables prepared."""
        writer = self.writer
        writer.emit(f"def {name}({parameters}):")
        with writer.indented():
            if scope.outer:
                writer.emit(f"nonlocal {', '.join(sorted(map(python_name, scope.outer)))}")
            own = sorted(scope.names - scope.parameters)
            if own:
                writer.emit(f"{' = '.join(map(python_name, own))} = None")
        writer.lines += body


def python_name(name: str) -> str:
    """Return the Python name of a Ruby variable, which differs from all generated names."""
    stem, word = ("i", name.lstrip("@")) if name.startswith("@") else ("v", name)
    if word.isascii() and word.isidentifier():
        return f"{stem}_{word}"
    # Python normalizes some letters, so all but ASCII are written as numbers
    return f"u{stem}_" + "_".join(char if char.isascii() and char.isalnum() else f"{ord(char):x}" for char in word)


def is_nil(code: Code) -> bool:
    """Return whether a value is known to be nil."""
    return code.text == NIL.text


@handles(Held)
def held(_generator: Generator, node: Held) -> Code:
    """Return the value computed before."""
    return node.code
