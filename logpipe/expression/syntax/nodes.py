"""The syntax tree of a Ruby expression: what `parser` builds and `compiler` reads.

Every node has `offset`, the place of its first character in the expression's text, for errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, TypeAlias, dataclass_transform


@dataclass_transform()
class _Fields:
    """A class's annotations are its fields, in order.

    Dataclasses would take some 20 ms to create, at the start of every process with an expression.
    """

    fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls.fields = (*cls.fields, *cls.__annotations__)

    def __init__(self, *values: Any, **named: Any) -> None:
        self.__dict__.update(zip(self.fields, values, strict=False), **named)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.fields)
        return f"{type(self).__name__}({shown})"


class Node(_Fields):
    """The base of all."""

    offset: int


def walk(node: Node) -> Iterator[Node]:
    """Yield a tree's nodes, each before its own parts."""
    yield node
    for child in children(node):
        yield from walk(child)


def children(node: Node) -> Iterator[Node]:
    """Yield the nodes that a node is made of."""
    for name in node.fields:
        yield from _nodes_in(getattr(node, name, None))


def _nodes_in(value: Any) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _nodes_in(item)


class Literal(Node):
    """`nil`, `true`, `false`, a number: a value that never changes."""

    value: int | float | None


class Str(Node):
    """A string: texts and code in between. One text makes it constant."""

    parts: list[str | Node]

    @property
    def constant(self) -> str | None:
        """The text, where nothing in it has to be computed."""
        if all(isinstance(part, str) for part in self.parts):
            return "".join(part for part in self.parts if isinstance(part, str))
        return None


class Sym(Node):
    """`:name`, or `:"a#{b}"`."""

    text: Str


class Regexp(Node):
    """`/source/flags`; the source's own escapes are kept."""

    source: Str
    flags: str


class Array(Node):
    """`[a, b, *c]`, `%w[a b]`."""

    items: list[Node]


class Hash(Node):
    """`{k => v, k: v, **h}`; a key of None spreads the value. `braces` is false for the trailing `k: v` of a call."""

    pairs: list[tuple[Node | None, Node]]
    braces: bool = True


class Range(Node):
    """`low..high`; `exclusive` for three dots, None for an open end."""

    low: Node | None
    high: Node | None
    exclusive: bool


class Splat(Node):
    """`*value` among arguments or items."""

    value: Node


class BlockPass(Node):
    """`&:sym` or `&block` as the last argument."""

    value: Node


class Local(Node):
    """A local variable or block parameter that was assigned before."""

    name: str


class Name(Node):
    """A bare word that is not a local variable: a helper such as `tag`, or 0.12's field of a record."""

    name: str


class Const(Node):
    """`Time`, `Digest::MD5`: the full path."""

    path: str


class InstanceVariable(Node):
    """`@x`: nil until assigned, as in Ruby."""

    name: str


class GlobalVariable(Node):
    """`$~`, `$1`, `$&`: results of the last match. Other globals are refused."""

    name: str


class Call(Node):
    """`receiver.name(args) { block }`; no receiver for Kernel's functions. Operators are calls too: `+`, `[]`."""

    receiver: Node | None
    name: str
    args: list[Node]
    block: Block | BlockPass | None = None
    safe: bool = False
    """Whether it was written `&.`."""


class And(Node):
    """`left && right`."""

    left: Node
    right: Node


class Or(Node):
    """`left || right`."""

    left: Node
    right: Node


class Not(Node):
    """`!value`, `not value`."""

    value: Node


class Defined(Node):
    """`defined?(value)`."""

    value: Node


class If(Node):
    """`if`, `unless` (branches swapped), the ternary and the modifiers."""

    test: Node
    then: Node
    otherwise: Node


class When(Node):
    """One `when a, b then body`."""

    tests: list[Node]
    body: Node


class Case(Node):
    """`case subject when … else … end`; without a subject the tests are conditions."""

    subject: Node | None
    whens: list[When]
    otherwise: Node


class While(Node):
    """`while test body end`; `until` has its test negated. `body_first` for `begin … end while test`."""

    test: Node
    body: Node
    body_first: bool = False


class For(Node):
    """`for a, b in values … end`, whose variables are the surrounding ones."""

    targets: list[Target]
    values: Node
    body: Node


class Rescue(Node):
    """`rescue A, B => name` and its body; no classes means StandardError."""

    classes: list[Node]
    name: str | None
    body: Node


class Begin(Node):
    """`begin body rescue … else … ensure … end`, and the `rescue` modifier."""

    body: Node
    rescues: list[Rescue]
    otherwise: Node | None = None
    ensure: Node | None = None


class Seq(Node):
    """Statements; the value is the last one's, nil where there is none."""

    statements: list[Node]


class Assign(Node):
    """`target = value`; the target is a Local, an InstanceVariable, an index Call, or a setter Call."""

    target: Node
    value: Node


class OpAssign(Node):
    """`target op= value` with op one of `+ - * / % ** << | & || &&` and the like."""

    target: Node
    op: str
    value: Node


class MultiAssign(Node):
    """`a, (b, *c) = value`."""

    targets: list[Target]
    value: Node


class Parameter(Node):
    """A parameter of a block or lambda: a name, perhaps with a default, a `*rest`, or a nested `(a, b)`."""

    name: str = ""
    default: Node | None = None
    rest: bool = False
    nested: list[Parameter] | None = None
    keyword: bool = False


class Block(Node):
    """`{ |a, b| body }`, and a lambda's parameters and body."""

    parameters: list[Parameter]
    body: Node
    trailing_comma: bool = False


class Lambda(Node):
    """`->(x) { … }`, `lambda { |x| … }`, or with `strict` false `proc { |x| … }`, which takes any number of values."""

    block: Block
    strict: bool = True


class Jump(Node):
    """`next`, `break`, `return`, with a value or nil."""

    kind: str
    value: Node


class Refused(Node):
    """A construct that is parsed but must not run, such as backticks; compiling it is an error with `reason`."""

    reason: str
    hint: str


Target: TypeAlias = Node | Parameter
