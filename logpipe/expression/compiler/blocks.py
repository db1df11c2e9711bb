"""Blocks and lambdas: nested Python functions that receive the values a method yields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from logpipe.errors import ExpressionError
from logpipe.expression.compiler.generator import Generator, Scope, handles, python_name
from logpipe.expression.compiler.source import Code
from logpipe.expression.methods.table import METHODS, dispatcher, similar
from logpipe.expression.runtime.failures import RubyError
from logpipe.expression.runtime.values import Proc, Symbol, Yielded
from logpipe.expression.syntax import nodes

_PAIR_OR_KEY: Final = frozenset({"select", "filter", "reject", "delete_if", "keep_if", "select!", "filter!", "reject!"})
"""Methods of Hash that yield key and value as two values: a block with one parameter gets the key."""


def block_argument(
    generator: Generator, block: nodes.Block | nodes.BlockPass, method: str, yields: int, fresh: frozenset[int]
) -> Code:
    """Return the Python function for a call's block; `fresh` are the numbers of its arguments that are not shared."""
    if isinstance(block, nodes.BlockPass):
        return _passed(generator, block, yields)
    return _function(generator, block, yields, first_only=method in _PAIR_OR_KEY, fresh=fresh)


def _passed(generator: Generator, block: nodes.BlockPass, yields: int) -> Code:
    """Return the function for `&:name` or `&callable`."""
    value = block.value
    if isinstance(value, nodes.Sym) and value.text.constant is not None:
        name = value.text.constant
        if name not in METHODS:
            raise ExpressionError(
                f"unknown method {name}", offset=value.offset, hint=similar(name, METHODS) or "write a block"
            )
        return Code(generator.function(dispatcher(name), f"any_{name}"), None, stable=True)
    code = generator.value(value)
    return Code(f"{generator.function(as_block, 'as_block')}({code.text}, {yields})")


def as_block(value: Any, yields: int) -> Callable[..., Any]:
    """Return the function of a lambda, or of a symbol, that was passed as a block.

    Raises:
        RubyError: the value is neither (TypeError).
    """
    if isinstance(value, Symbol):
        return dispatcher(value.name)
    if not isinstance(value, Proc):
        raise RubyError("TypeError", "wrong argument type (expected Proc)")
    if yields == 1 and value.arity not in (1, -1, -2) and not value.is_lambda:
        return lambda item: value(*spread(item, value.arity))
    if yields == 1 and value.is_lambda and value.arity > 1:
        return lambda item: value(*spread(item, value.arity))
    return value.function


def _simple(parameters: list[nodes.Parameter]) -> bool:
    return all(not (item.rest or item.nested or item.default is not None) for item in parameters)


def _function(
    generator: Generator, block: nodes.Block, yields: int, *, first_only: bool, fresh: frozenset[int] = frozenset()
) -> Code:
    """Write a block as a lambda where it is one expression, else as a function."""
    writer = generator.writer
    parameters = block.parameters
    direct = _simple(parameters) and len(parameters) == yields and not block.trailing_comma
    direct = direct and not (first_only and len(parameters) == 1)
    names = [item.name for item in parameters] if direct else []
    number = writer.serial()
    label = f"block_{number}"
    with generator.nested(names) as scope:
        generator.jumps.append(f"block {number}")
        scope.fresh |= {item.name for place, item in enumerate(parameters) if place in fresh and item.name}
        scope.shared |= {item.name for place, item in enumerate(parameters) if place not in fresh and item.name}
        with writer.captured() as body, writer.indented():
            arguments = (
                [python_name(name) for name in names] if direct else _receive(generator, block, yields, first_only)
            )
            result = generator.value(block.body)
            statements = bool(body)
            writer.emit(f"return {result.text}")
        if not statements and not scope.outer:
            return Code(f"lambda {', '.join(arguments)}: {result.text}")
    generator.write_function(label, ", ".join(arguments), body, scope)
    return Code(label, None, stable=True)


def _receive(generator: Generator, block: nodes.Block, yields: int, first_only: bool) -> list[str]:  # noqa: FBT001 - one call, beside `yields`
    """Write the assignment of yielded values to a block's parameters; returns the function's own parameters."""
    writer = generator.writer
    parameters = block.parameters
    values = [writer.temporary("item") for _ in range(yields)]
    single = len(parameters) == 1 and _simple(parameters) and not block.trailing_comma
    sources = list(values)
    if yields == 1 and parameters and not single:
        spread_out = writer.temporary("items")
        wanted = len(parameters)
        writer.emit(f"{spread_out} = {generator.function(spread, 'spread')}({values[0]}, {wanted})")
        assign_parameters(generator, parameters, spread_out)
        return values
    if single and first_only:
        sources[0] = f"{generator.function(first_of, 'first_of')}({values[0]})"
    if parameters:
        if _simple(parameters) and len(parameters) <= yields:
            for item, source in zip(parameters, sources, strict=False):
                _declare(generator, item.name)
                writer.emit(f"{python_name(item.name)} = {source}")
        else:
            packed = writer.temporary("items")
            writer.emit(f"{packed} = [{', '.join(sources)}]")
            assign_parameters(generator, parameters, packed)
    return values


def _declare(generator: Generator, name: str) -> None:
    """Make a parameter a variable of the current function, even if an outer one has the same name."""
    generator.scope.names.add(name)


def tapped(node: nodes.Call) -> nodes.Call:
    """Return `x.tap { |v| … }` as `x.then { |v| …; v }`, which returns a string that the block changed.

    A block that ends early or assigns its parameter is not changed.
    """
    block = node.block
    if not isinstance(block, nodes.Block) or len(block.parameters) != 1 or not block.parameters[0].name:
        return node
    parameter = block.parameters[0]
    for inner in nodes.walk(block.body):
        target = inner.target if isinstance(inner, (nodes.Assign, nodes.OpAssign)) else None
        if isinstance(inner, (nodes.Jump, nodes.MultiAssign)) or (
            isinstance(target, nodes.Local) and target.name == parameter.name
        ):
            return node
    body = nodes.Seq(block.body.offset, [block.body, nodes.Local(node.offset, parameter.name)])
    inner_block = nodes.Block(block.offset, block.parameters, body)
    return nodes.Call(node.offset, node.receiver, "then", [], inner_block, node.safe)


def assign_parameters(generator: Generator, parameters: list[nodes.Parameter], source: str) -> None:
    """Write the assignments of parameters from the list named `source`."""
    writer = generator.writer
    rest = next((place for place, item in enumerate(parameters) if item.rest), None)
    behind = 0 if rest is None else len(parameters) - rest - 1
    for place, item in enumerate(parameters):
        if rest is None or place < rest:
            value = f"{generator.function(member, 'member')}({source}, {place})"
        elif place == rest:
            value = f"{source}[{place}:{f'len_({source}) - {behind}' if behind else ''}]"
            writer.namespace.values["len_"] = len
        else:
            value = f"{generator.function(member, 'member')}({source}, {place - len(parameters)})"
        if item.nested is not None:
            inner = writer.temporary("items")
            writer.emit(f"{inner} = {generator.function(spread, 'spread')}({value}, {len(item.nested)})")
            assign_parameters(generator, item.nested, inner)
            continue
        if not item.name:
            continue
        _declare(generator, item.name)
        name = python_name(item.name)
        writer.emit(f"{name} = {value}")
        if item.default is not None:
            writer.emit(f"if {name} is None:")
            with writer.indented():
                writer.emit(f"{name} = {generator.value(item.default).text}")


def spread(item: Any, wanted: int) -> list[Any]:
    """Return the arguments of a block with several parameters for one value: an array is spread."""
    items = item if isinstance(item, list) else [item]
    return items if len(items) >= wanted else [*items, *[None] * (wanted - len(items))]


def member(items: list[Any], place: int) -> Any:
    """Return a member, nil where there is none."""
    return items[place] if -len(items) <= place < len(items) else None


def first_of(item: Any) -> Any:
    """Return the key of a pair that a Hash yields as two values, other values unchanged."""
    return item[0] if type(item) is Yielded else item


@handles(nodes.Lambda)
def lambda_value(generator: Generator, node: nodes.Lambda) -> Code:
    """Write a lambda as a value."""
    writer = generator.writer
    parameters = node.block.parameters
    label = writer.temporary("lambda_")
    with generator.nested([]) as scope:
        generator.jumps.append("lambda")
        with writer.captured() as body, writer.indented():
            arguments = writer.temporary("items")
            take = generator.function(strict, "strict") if node.strict else generator.function(loose, "loose")
            writer.emit(f"{arguments} = {take}({arguments}_, {_arity(parameters)})")
            assign_parameters(generator, parameters, arguments)
            writer.emit(f"return {generator.value(node.block.body).text}")
        _mark_shared(scope, parameters)
    generator.write_function(label, f"*{arguments}_", body, scope)
    return Code(f"{generator.function(Proc, 'Proc')}({label}, {_arity(parameters)}, is_lambda={node.strict})", Proc)


def _mark_shared(scope: Scope, parameters: list[nodes.Parameter]) -> None:
    scope.shared |= {item.name for item in parameters if item.name}


def _arity(parameters: list[nodes.Parameter]) -> int:
    required = sum(1 for item in parameters if not item.rest and item.default is None)
    return required if required == len(parameters) else -required - 1


def strict(items: tuple[Any, ...], arity: int) -> list[Any]:
    """Return a lambda's arguments.

    Raises:
        RubyError: there are too many or too few (ArgumentError).
    """
    if (arity >= 0 and len(items) != arity) or len(items) < -arity - 1:
        wanted = str(arity) if arity >= 0 else f"{-arity - 1}+"
        raise RubyError("ArgumentError", f"wrong number of arguments (given {len(items)}, expected {wanted})")
    return list(items)


def loose(items: tuple[Any, ...], arity: int) -> list[Any]:
    """Return a proc's arguments: a single array is spread over several parameters, missing ones are nil."""
    if len(items) == 1 and isinstance(items[0], list) and arity not in (0, 1):
        return items[0]
    return list(items)
