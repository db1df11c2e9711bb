"""Calls of methods and functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from logpipe.errors import ExpressionError
from logpipe.expression.compiler.blocks import block_argument, tapped
from logpipe.expression.compiler.changes import changer, is_fresh, is_frozen, note_change, put_back, refuse_change
from logpipe.expression.compiler.generator import Generator, Held, handles, is_nil, python_name
from logpipe.expression.compiler.literals import item_text, unknown_constant
from logpipe.expression.compiler.source import NIL, Code
from logpipe.expression.methods.declaration import Method, described
from logpipe.expression.methods.kernel import HARMLESS
from logpipe.expression.methods.string_match import regexp_position
from logpipe.expression.methods.table import FUNCTIONS, METHODS, dispatcher, similar
from logpipe.expression.runtime import arithmetic, comparison, indexing
from logpipe.expression.runtime.failures import EXCEPTION_CLASSES, BreakBlock, RubyError
from logpipe.expression.runtime.matches import LAST_MATCH, Regexp
from logpipe.expression.runtime.text import to_s
from logpipe.expression.runtime.values import Proc, RubyClass
from logpipe.expression.syntax import nodes

_OPERATORS: Final[dict[str, tuple[Callable[..., Any], type | None]]] = {
    "+": (arithmetic.plus, None), "-": (arithmetic.minus, None), "*": (arithmetic.times, None),
    "/": (arithmetic.divide, None), "%": (arithmetic.modulo, None), "**": (arithmetic.power, None),
    "&": (arithmetic.bit_and, None), "|": (arithmetic.bit_or, None), "^": (arithmetic.bit_xor, None),
    ">>": (arithmetic.shift_right, None), "-@": (arithmetic.negate, None), "+@": (arithmetic.positive, None),
    "~": (arithmetic.invert, None), "<": (comparison.less, bool), "<=": (comparison.at_most, bool),
    ">": (comparison.greater, bool), ">=": (comparison.at_least, bool), "<=>": (comparison.compare, None),
    "===": (comparison.matches, bool), "==": (comparison.equal, bool), "[]": (indexing.index, None),
    "dig": (indexing.dig, None),
}  # fmt: skip

_KIND_NAMES: Final[dict[type, str]] = {str: "string", list: "array", dict: "hash"}

_REFUSED: Final = {
    **dict.fromkeys(
        ("send", "public_send", "__send__"), 'write the method\'s name, or record["name"] for a field'
    ),
    **dict.fromkeys(("eval", "instance_eval", "class_eval", "module_eval", "instance_exec"), "write the code out"),
    **dict.fromkeys(("system", "exec", "spawn", "fork", "popen", "syscall", "`"), "use an exec input or a plugin"),
    **dict.fromkeys(("open", "read", "readlines", "gets", "load", "autoload", "require_relative"), "use a plugin"),
    **dict.fromkeys(("puts", "print", "p", "pp", "warn", "putc", "printf"), "use a stdout filter to see records"),
    **dict.fromkeys(("exit", "exit!", "abort", "at_exit", "trap", "kill"), "to drop a record use a grep filter"),
    **dict.fromkeys(("sleep", "select", "test"), "an expression must not wait or reach outside"),
    **dict.fromkeys(
        ("method", "instance_method", "define_method", "define_singleton_method", "binding", "instance_variable_get",
         "instance_variable_set", "const_get", "class_variable_get", "singleton_class", "extend", "object_id",
         "method_missing", "remove_method", "undef_method", "set_trace_func", "caller", "ancestors", "superclass",
         "callcc", "catch", "throw", "ObjectSpace", "included_modules", "instance_methods", "constants"),
        "it is not part of the language here",
    ),
}  # fmt: skip
"""Functions that reach outside the expression, with alternatives."""


@handles(nodes.Call)
def call(generator: Generator, node: nodes.Call) -> Code:
    """Write a call."""
    if node.name == "__send__" and _odd_field(node):
        key = node.args[0]
        return generator.value(nodes.Name(node.offset, key.constant or "")) if isinstance(key, nodes.Str) else NIL
    if node.receiver is None:
        return _kernel(generator, node)
    if node.name == "tap":
        node = tapped(node)
    if isinstance(node.receiver, nodes.Const) and node.receiver.path != "ENV":
        found = _on_constant(generator, node, node.receiver)
        if found is not None:
            return found
    if node.safe:
        return _safe(generator, node)
    return _method(generator, node)


def _odd_field(node: nodes.Call) -> bool:
    """Return whether it is 0.12's access to a field that is no identifier: `__send__("@timestamp")`."""
    if node.receiver is not None or len(node.args) != 1 or node.block is not None:
        return False
    key = node.args[0]
    return isinstance(key, nodes.Str) and key.constant is not None and not key.constant.isidentifier()


def _refuse(name: str, offset: int) -> None:
    if name in _REFUSED:
        raise ExpressionError(f"{name} cannot be used in an expression", offset=offset, hint=_REFUSED[name])


def _kernel(generator: Generator, node: nodes.Call) -> Code:
    """Write a call of a function without a receiver."""
    found = FUNCTIONS[""].get(node.name)
    if found is None:
        _refuse(node.name, node.offset)
        hint = similar(node.name, FUNCTIONS[""])
        raise ExpressionError(f"unknown function {node.name}", offset=node.offset, hint=hint or "it is not available")
    if node.name == "require":
        library = node.args[0].constant if node.args and isinstance(node.args[0], nodes.Str) else None
        if library not in HARMLESS:
            raise ExpressionError(
                f"require {library or 'of a computed name'} is not supported", offset=node.offset, hint="remove it"
            )
    return _function(generator, node, found)


def _on_constant(generator: Generator, node: nodes.Call, constant: nodes.Const) -> Code | None:
    """Write `JSON.parse(x)`; None where the constant is a value with methods of its own."""
    path = constant.path
    extra = generator.context.functions.get(path, {})
    if node.name in extra:
        return _function(generator, node, described(extra[node.name]))
    if path == "Socket" and node.name == "gethostname" and not node.args:
        generator.uses.add("hostname")
        return Code("hostname", str, stable=True)
    if path in EXCEPTION_CLASSES and node.name in ("new", "exception"):
        codes = generator.operands(node.args)
        make = generator.function(new_exception, "new_exception")
        return Code(f"{make}({', '.join([repr(path), *map(item_text, codes)])})", RubyError)
    if path == "Proc" and node.name == "new" and isinstance(node.block, nodes.Block):
        return generator.value(nodes.Lambda(node.offset, node.block, strict=False))
    functions = FUNCTIONS.get("" if path == "Kernel" else path)
    if functions is None:
        return None
    found = functions.get(node.name)
    if found is not None:
        return _function(generator, node, found)
    if RubyClass in METHODS.get(node.name, {}) or object in METHODS.get(node.name, {}):
        return None
    problem = unknown_constant(path, node.offset)
    if path in ("File", "Socket"):
        raise ExpressionError(
            f"{path}.{node.name} cannot be used in an expression", offset=node.offset, hint=problem.hint
        )
    raise ExpressionError(
        f"unknown function {path}.{node.name}",
        offset=node.offset,
        hint=similar(node.name, functions) or "not available",
    )


def new_exception(class_name: str, message: Any = None) -> RubyError:
    """Return an exception that is not raised yet."""
    return RubyError(class_name, class_name if message is None else to_s(message))


def _function(generator: Generator, node: nodes.Call, found: Method) -> Code:
    codes = generator.operands(node.args)
    _check_count(node, codes, [found])
    block, number = _block(generator, node, found.yields)
    label = f"{node.receiver.path}_{node.name}" if isinstance(node.receiver, nodes.Const) else node.name
    name = generator.function(found.function, label)
    if block is not None and not found.takes_block:
        block = None
    text = f"{name}({', '.join([*map(item_text, codes), *([f'block={block.text}'] if block else [])])})"
    return _breakable(generator, Code(text, found.returns), number)


def _block(generator: Generator, node: nodes.Call, yields: int) -> tuple[Code | None, int | None]:
    """Return a call's block as a Python function, and its number where it may break."""
    if node.block is None:
        return None, None
    before = set(generator.uses)
    fresh: frozenset[int] = frozenset()
    if node.args and is_fresh(generator, node.args[0]):
        fresh = frozenset({1}) if node.name in ("each_with_object", "with_object") else fresh
        fresh = frozenset({0}) if node.name in ("inject", "reduce") else fresh
    generator.needs_budget = True
    code = block_argument(generator, node.block, node.name, yields, fresh)
    breaks = [use for use in generator.uses - before if use.startswith("block ")]
    generator.uses.difference_update(breaks)
    return code, int(breaks[0].removeprefix("block ")) if breaks else None


def _breakable(generator: Generator, code: Code, number: int | None) -> Code:
    """Write a call so that `break` in its block ends it."""
    if number is None:
        return code
    writer = generator.writer
    result, caught = writer.temporary(), writer.temporary("jump")
    writer.emit("try:")
    writer.emit(f"    {result} = {code.text}")
    writer.emit(f"except {generator.function(BreakBlock, 'BreakBlock')} as {caught}:")
    with writer.indented():
        writer.emit(f"if {caught}.block != {number}:")
        writer.emit("    raise")
        writer.emit(f"{result} = {caught}.value")
    return Code(result, None, stable=True)


def _safe(generator: Generator, node: nodes.Call) -> Code:
    """Write `receiver&.name`: nil where the receiver is nil; the arguments are not evaluated then."""
    writer = generator.writer
    assert node.receiver is not None  # noqa: S101 - a safe call has one
    receiver = generator.held(generator.value(node.receiver))
    inner = nodes.Call(node.offset, Held(node.receiver.offset, receiver), node.name, node.args, node.block)
    lines, code = generator.apart(inner)
    if not lines:
        return Code(f"({code.text} if {receiver.text} is not None else None)")
    result = writer.temporary()
    writer.emit(f"{result} = None")
    writer.emit(f"if {receiver.text} is not None:")
    writer.lines += lines
    writer.emit(f"    {result} = {code.text}")
    return Code(result, None, stable=True)


def _check_count(node: nodes.Call, codes: list[Code], methods: list[Method]) -> None:
    """Refuse a number of arguments that no method of the name accepts."""
    if any(code.star for code in codes):
        return
    given = len(codes)
    if any(method.least <= given and (method.most is None or given <= method.most) for method in methods):
        return
    wanted = sorted({method.least for method in methods})
    raise ExpressionError(
        f"wrong number of arguments for {node.name}: {given}",
        offset=node.offset,
        hint=f"it takes {' or '.join(map(str, wanted))}",
    )


def _relabelled(node: nodes.Call) -> list[nodes.Node]:
    """Return receiver and arguments; `x.force_encoding(a).encode(b)` becomes `x.encode(b, a)`."""
    match node:
        case nodes.Call(
            name="encode",
            receiver=nodes.Call(name="force_encoding", receiver=inner, args=[nodes.Str() as source]),
            args=[nodes.Str() as target, *options],
        ) if inner is not None and not (options and isinstance(options[0], nodes.Str)):
            return [inner, target, source, *options]
    return [node.receiver, *node.args] if node.receiver is not None else node.args


def _method(generator: Generator, node: nodes.Call) -> Code:
    """Write a call on a value."""
    assert node.receiver is not None  # noqa: S101 - the caller checked
    if node.name in ("call", "()", "yield") and node.block is None:
        return _call_value(generator, node)
    table = METHODS.get(node.name)
    if table is None and node.name not in _OPERATORS:
        if isinstance(node.receiver, nodes.Const):
            generator.value(node.receiver)  # raises for an unknown receiver, which is then the actual error
        _refuse(node.name, node.offset)
        hint = similar(node.name, METHODS) or "it is not available here"
        raise ExpressionError(f"unknown method {node.name}", offset=node.offset, hint=hint)
    if table is not None and any(method.mutates for method in table.values()):
        return _changing(generator, node, table)
    if node.name == "frozen?" and is_frozen(generator, node.receiver):
        return Code("True", bool, stable=True)
    codes = generator.operands(_relabelled(node))
    receiver, args = codes[0], codes[1:]
    short = _short(generator, node, receiver, args)
    if short is not None:
        return short
    if node.name == "=~" and isinstance(node.receiver, nodes.Regexp) and len(args) == 1 and not args[0].star:
        return _match_and_assign(generator, receiver, args)
    if node.name in _OPERATORS and node.block is None:
        function, kind = _OPERATORS[node.name]
        name = generator.function(function, node.name)
        return Code(f"{name}({', '.join([receiver.text, *map(item_text, args)])})", kind)
    return _dispatched(generator, node, receiver, args)


def _dispatched(generator: Generator, node: nodes.Call, receiver: Code, args: list[Code]) -> Code:
    """Write a call by name: straight to the function where the receiver's type is known."""
    table = METHODS[node.name]
    known = table.get(receiver.kind, table.get(object)) if receiver.kind is not None else None
    if receiver.kind is not None and known is None and receiver.kind is not type(None):
        raise ExpressionError(
            f"unknown method {node.name} of {_kind_name(receiver.kind)}",
            offset=node.offset,
            hint=similar(node.name, {name for name, of in METHODS.items() if receiver.kind in of}) or "not available",
        )
    _check_count(node, args, [known] if known is not None else list(table.values()))
    block, number = _block(generator, node, max(method.yields for method in table.values()))
    if block is not None and not any(method.takes_block for method in table.values()):
        block = None
    if known is not None and (block is None or known.takes_block):
        name = generator.function(known.function, f"{_kind_name(receiver.kind)}_{node.name}")
        kind = known.returns
    else:
        name = generator.function(dispatcher(node.name), f"any_{node.name}")
        kinds = {method.returns for method in table.values()}
        kind = kinds.pop() if len(kinds) == 1 else None
    text = [receiver.text, *map(item_text, args), *([f"block={block.text}"] if block else [])]
    return _breakable(generator, Code(f"{name}({', '.join(text)})", kind), number)


def _match_and_assign(generator: Generator, pattern: Code, args: list[Code]) -> Code:
    """Write `/(?<name>…)/ =~ text`, which makes variables of its named groups."""
    writer = generator.writer
    name = generator.function(regexp_position, "match_place")
    place = generator.held(Code(f"{name}({pattern.text}, {args[0].text})"), "place")
    compiled = writer.namespace.values.get(pattern.text)
    for group in compiled.names if isinstance(compiled, Regexp) else ():
        if group.isidentifier() and group[0].islower():
            generator.declare(group)
            last = writer.name(LAST_MATCH, "last_match")
            writer.emit(f"{python_name(group)} = {last}.group({group!r})")
    return place


def _kind_name(kind: type | None) -> str:
    return "any" if kind is None else _KIND_NAMES.get(kind) or kind.__name__.lower()


def _call_value(generator: Generator, node: nodes.Call) -> Code:
    """Write `lambda.call(x)`."""
    assert node.receiver is not None  # noqa: S101 - the caller checked
    codes = generator.operands([node.receiver, *node.args])
    name = generator.function(call_value, "call_value")
    return Code(f"{name}({', '.join(map(item_text, codes))})")


def call_value(value: Any, *args: Any) -> Any:
    """Run a lambda.

    Raises:
        RubyError: the value is none (NoMethodError).
    """
    if not isinstance(value, Proc):
        return dispatcher("call")(value, *args)
    return value(*args)


def _short(generator: Generator, node: nodes.Call, receiver: Code, args: list[Code]) -> Code | None:
    """Return Python's own equivalent, if any: of `nil?`, `==` with a constant, `!`."""
    match node.name, args:
        case "nil?", []:
            return Code(f"({receiver.text} is None)", bool)
        case "itself" | "freeze", []:
            return receiver
        case "==", [other] if other.kind is str and other.stable:
            return Code(f"({receiver.text} == {other.text})", bool)
        case "==", [other] if is_nil(other) or other.text in ("True", "False"):
            return Code(f"({receiver.text} is {other.text})", bool)
        case "==", [other] if other.kind is int and other.stable and other.text not in ("0", "1"):
            return Code(f"({receiver.text} == {other.text})", bool)
        case "equal?", [other] if isinstance(node.receiver, nodes.Str) or isinstance(node.args[0], nodes.Str):
            generator.discard(receiver)
            generator.discard(other)
            return Code("False", bool, stable=True)
        case "to_s", [] if receiver.kind is str:
            return receiver
    return None


def _changing(generator: Generator, node: nodes.Call, table: Mapping[type, Method]) -> Code:
    """Write a call that may change its receiver: a string's new text replaces the old one."""
    assert node.receiver is not None  # noqa: S101 - the caller checked
    writer = generator.writer
    codes = generator.operands([node.receiver, *node.args])
    receiver, args = generator.held(codes[0], "old"), codes[1:]
    if is_frozen(generator, node.receiver):
        return Code(f"{generator.function(refuse_change, 'refuse_change')}({receiver.text})")
    args = [
        code if code.stable else generator.held(code._replace(star=False))._replace(star=code.star) for code in args
    ]
    known = table.get(receiver.kind) if receiver.kind is not None else None
    _check_count(node, args, [known] if known is not None else list(table.values()))
    block, number = _block(generator, node, max(method.yields for method in table.values()))
    changes = known is None or known.mutates
    if changes:
        note_change(generator, node.receiver)
    text = [receiver.text, *map(item_text, args), *([f"block={block.text}"] if block else [])]
    if not any(method.mutates for kind, method in table.items() if kind is str) or not changes:
        name = generator.function(dispatcher(node.name), f"any_{node.name}")
        return _breakable(generator, Code(f"{name}({', '.join(text)})"), number)
    new, result = writer.temporary("new"), writer.temporary("result")
    writer.emit(f"{new}, {result} = {generator.function(changer(node.name), f'change_{node.name}')}({', '.join(text)})")
    put_back(generator, _changed_place(node.receiver), receiver.text, new)
    return Code(result, None, stable=True)


def _changed_place(receiver: nodes.Node) -> nodes.Node:
    """Return the receiver that a chain of calls changes: `x` of `x << "a" << "b"`."""
    while isinstance(receiver, nodes.Call) and receiver.name in ("<<", "concat", "prepend") and receiver.receiver:
        receiver = receiver.receiver
    return receiver
