"""Assignments: to variables, to members, to several at once, and with an operator."""

from __future__ import annotations

from typing import Any, Final

from logpipe.errors import ExpressionError
from logpipe.expression.compiler.blocks import assign_parameters
from logpipe.expression.compiler.changes import is_fresh, is_frozen, note_change, put_back
from logpipe.expression.compiler.generator import Generator, Held, handles, python_name
from logpipe.expression.compiler.source import Code
from logpipe.expression.runtime.indexing import replace_part, store
from logpipe.expression.syntax import nodes

_OPERATORS: Final = frozenset({"+", "-", "*", "/", "%", "**", "|", "&", "^", ">>"})


@handles(nodes.Assign)
def assign(generator: Generator, node: nodes.Assign) -> Code:
    """Write `target = value`; its value is the assigned one."""
    target = node.target
    if isinstance(target, (nodes.Local, nodes.InstanceVariable)):
        generator.declare(target.name)  # first, since a lambda may call itself
        code = generator.value(node.value)
        _note_origin(generator, target.name, node.value)
        name = python_name(target.name)
        generator.writer.emit(f"{name} = {code.text}")
        return code if code.stable else Code(name, code.kind)
    if isinstance(target, nodes.Call) and target.name == "[]" and target.receiver is not None:
        wanted = [target.receiver, *target.args, node.value]
        codes = [generator.held(code) for code in generator.operands(wanted)]
        _store(generator, target, codes[0], codes[1:-1], codes[-1])
        return codes[-1]
    raise _no_setter(target)


def _no_setter(target: nodes.Node) -> ExpressionError:
    name = target.name if isinstance(target, nodes.Call) else "this"
    return ExpressionError(f"{name} cannot be assigned to", offset=target.offset, hint='write record["name"] = value')


def _note_origin(generator: Generator, name: str, value: nodes.Node) -> None:
    """Record whether a variable's value was made here, or may be shared."""
    scope = generator.scope.owner(name) or generator.scope
    scope.frozen.discard(name)
    if is_frozen(generator, value):
        scope.frozen.add(name)
    if is_fresh(generator, value):
        scope.fresh.add(name)
        return
    scope.shared.add(name)


def _store(generator: Generator, target: nodes.Call, receiver: Code, keys: list[Code], value: Code) -> None:
    """Write `receiver[key] = value`; a string is replaced by a changed one."""
    assert target.receiver is not None  # noqa: S101 - the caller checked
    note_change(generator, target.receiver)
    writer = generator.writer
    if len(keys) != 1:
        raise ExpressionError(
            "only one index can be assigned to", offset=target.offset, hint="use slice! and insert for parts"
        )
    if receiver.kind in (dict, list) or (isinstance(target.receiver, nodes.Name) and receiver.text == "record"):
        writer.emit(f"{generator.function(store, 'store')}({receiver.text}, {keys[0].text}, {value.text})")
        return
    changed = writer.temporary("changed")
    store_name = generator.function(store_or_replace, "store_or_replace")
    writer.emit(f"{changed} = {store_name}({receiver.text}, {keys[0].text}, {value.text})")
    put_back(generator, target.receiver, receiver.text, changed)


def store_or_replace(receiver: Any, key: Any, value: Any) -> Any:
    """Do `receiver[key] = value` and return the receiver, which for a string is a new one."""
    if isinstance(receiver, str):
        return replace_part(receiver, key, value)
    store(receiver, key, value)
    return receiver


@handles(nodes.OpAssign)
def operate_and_assign(generator: Generator, node: nodes.OpAssign) -> Code:
    """Write `target op= value`: the target's parts are evaluated once."""
    target = node.target
    if isinstance(target, (nodes.Local, nodes.InstanceVariable)):
        generator.declare(target.name)
        return _operate(generator, node, target)
    if not isinstance(target, nodes.Call) or target.name != "[]" or target.receiver is None:
        raise _no_setter(target)
    wanted = [target.receiver, *target.args]
    codes = [generator.held(code, "part") for code in generator.operands(wanted)]
    held: list[nodes.Node] = []
    for code, part in zip(codes, wanted, strict=True):
        held.append(part if isinstance(part, (nodes.Name, nodes.Str, nodes.Literal)) else Held(part.offset, code))
    receiver, keys = held[0], held[1:]
    if isinstance(receiver, Held):
        note_change(generator, target.receiver)
    return _operate(generator, node, nodes.Call(target.offset, receiver, "[]", keys))


def _operate(generator: Generator, node: nodes.OpAssign, target: nodes.Node) -> Code:
    offset = node.offset
    if node.op in ("||", "&&"):
        change = nodes.Assign(offset, target, node.value)
        if node.op == "||":
            return generator.value(nodes.Or(offset, target, change))
        return generator.value(nodes.And(offset, target, change))
    if node.op == "<<":
        return generator.value(nodes.Assign(offset, target, nodes.Call(offset, target, "<<", [node.value])))
    if node.op not in _OPERATORS:
        raise ExpressionError(f"{node.op}= is not supported", offset=offset, hint="write the operation out")
    return generator.value(nodes.Assign(offset, target, nodes.Call(offset, target, node.op, [node.value])))


@handles(nodes.MultiAssign)
def assign_several(generator: Generator, node: nodes.MultiAssign) -> Code:
    """Write `a, b = values`."""
    code = generator.held(generator.value(node.value))
    assign_targets(generator, node.targets, code, whole=False)
    return code


def assign_targets(generator: Generator, targets: list[nodes.Target], value: Code, *, whole: bool) -> None:
    """Write the assignment of a value to several targets, or with `whole` of all of it to the only one."""
    writer = generator.writer
    items = writer.temporary("items")
    taken = f"[{value.text}]" if whole else f"{generator.function(to_items, 'to_items')}({value.text})"
    writer.emit(f"{items} = {taken}")
    parameters: list[nodes.Parameter] = []
    indexed: list[tuple[str, nodes.Call]] = []
    for target in targets:
        if isinstance(target, nodes.Parameter):
            parameters.append(target)
        elif isinstance(target, (nodes.Local, nodes.InstanceVariable)):
            parameters.append(nodes.Parameter(target.offset, target.name))
        elif isinstance(target, nodes.Call) and target.name == "[]":
            name = f"part{writer.serial()}"
            indexed.append((name, target))
            parameters.append(nodes.Parameter(target.offset, name))
        else:
            raise _no_setter(target)
    for parameter in _flat(parameters):
        (generator.scope.owner(parameter.name) or generator.scope).shared.add(parameter.name)
        generator.declare(parameter.name)
    assign_parameters(generator, parameters, items)
    for name, place in indexed:
        part = Held(place.offset, Code(python_name(name), None, stable=True))
        generator.discard(generator.value(nodes.Assign(place.offset, place, part)))


def _flat(parameters: list[nodes.Parameter]) -> list[nodes.Parameter]:
    found: list[nodes.Parameter] = []
    for item in parameters:
        found += _flat(item.nested) if item.nested is not None else [item] if item.name else []
    return found


def to_items(value: Any) -> list[Any]:
    """Return the items that `a, b = value` assigns."""
    return value if isinstance(value, list) else [value]
