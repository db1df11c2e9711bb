"""Methods that change their receiver.

Arrays and hashes change in place. Python's strings do not, so a method that changes one returns the new text, which
replaces the old one: in variables, and in the record, whose texts are distinct objects then.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from logpipe.errors import ExpressionError
from logpipe.expression.compiler.generator import Generator, Scope, python_name
from logpipe.expression.methods.table import METHODS, dispatcher
from logpipe.expression.runtime.failures import RubyError, no_method
from logpipe.expression.runtime.indexing import index, store
from logpipe.expression.runtime.text import class_name, describe, inspect
from logpipe.expression.syntax import nodes

_FRESH_LIST: Final = """
map collect select filter reject split dup clone keys values merge sort sort_by reverse chars bytes lines scan flatten
compact uniq to_h zip each_slice group_by partition flat_map filter_map transform_values transform_keys except
take drop rotate + - * & | captures to_a each_with_object tally invert new parse
"""
_FRESH_METHODS: Final = frozenset(_FRESH_LIST.split())
"""Methods whose result, if mutable, was made for this call."""


def is_fresh(generator: Generator, node: nodes.Node) -> bool:
    """Return whether a node's value was made by this expression, so that a change has no other effect."""
    match node:
        case nodes.Array() | nodes.Hash() | nodes.Str() | nodes.Literal() | nodes.Sym():
            return True
        case nodes.Call(name=name):
            return name in _FRESH_METHODS
        case nodes.Local(name=name):
            scope = generator.scope.owner(name)
            return scope is not None and name in scope.fresh and name not in scope.shared
        case nodes.Or(left=left, right=right):
            return is_fresh(generator, left) and is_fresh(generator, right)
    return False


def is_frozen(generator: Generator, node: nodes.Node) -> bool:
    """Return whether a node's value is known to be frozen: `x.freeze`, or a variable with such a value."""
    match node:
        case nodes.Call(name="freeze", args=[]):
            return True
        case nodes.Local(name=name):
            scope = generator.scope.owner(name)
            return scope is not None and name in scope.frozen
    return False


def refuse_change(value: Any) -> Any:
    """Refuse to change a frozen value.

    Raises:
        RubyError: always (FrozenError).
    """
    raise RubyError("FrozenError", f"can't modify frozen {class_name(value)}: {inspect(value)}")


def note_change(generator: Generator, receiver: nodes.Node) -> None:
    """Record that an array or hash is changed; unless it is fresh it may be part of the record."""
    if isinstance(receiver, nodes.Const) and receiver.path == "ENV":
        raise ExpressionError("ENV cannot be changed", offset=receiver.offset, hint="set it where logpipe is started")
    if not is_fresh(generator, receiver):
        generator.changes_record = True
        generator.changes_nested = generator.changes_nested or not _is_record(receiver)


def _is_record(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name == "record"


def put_back(generator: Generator, receiver: nodes.Node, old: str, new: str) -> None:
    """Replace the old string by the changed one: in variables, and unless it is fresh in the record."""
    writer = generator.writer
    fresh = is_fresh(generator, receiver)
    own = receiver.name if isinstance(receiver, (nodes.Local, nodes.InstanceVariable)) else ""
    if fresh and not own:
        return
    writer.emit(f"if {new} is not {old}:")
    with writer.indented():
        writer.emit("pass")
        if own:
            generator.declare(own)
            writer.emit(f"{python_name(own)} = {new}")
        if not fresh:
            _put_into_record(generator, receiver, old, new)
        for name in sorted(_visible(generator.scope) - {own}):
            generator.declare(name)
            writer.emit(f"if {python_name(name)} is {old}:")
            writer.emit(f"    {python_name(name)} = {new}")


def _visible(scope: Scope | None) -> set[str]:
    """Return the names of all visible variables."""
    names: set[str] = set()
    while scope is not None:
        names |= scope.names
        scope = scope.parent
    return names


def _put_into_record(generator: Generator, receiver: nodes.Node, old: str, new: str) -> None:
    if "record" not in generator.context.names:
        return
    writer = generator.writer
    generator.changes_record = generator.changes_nested = True
    generator.uses.add("record")
    if isinstance(receiver, nodes.Call) and receiver.name == "[]" and len(receiver.args) == 1 and receiver.receiver:
        holder, key = generator.operands([receiver.receiver, receiver.args[0]])
        put = generator.function(put_if_same, "put_if_same")
        writer.emit(f"{put}({holder.text}, {key.text}, {old}, {new})")
    writer.emit(f"{generator.function(replace_text, 'replace_text')}(record, output, {old}, {new})")


def put_if_same(holder: Any, key: Any, old: str, new: str) -> None:
    """Replace the old string in one place by the changed one."""
    if isinstance(holder, (dict, list)) and index(holder, key) is old:
        store(holder, key, new)


def replace_text(record: dict[str, Any], output: dict[str, Any] | None, old: str, new: str) -> None:
    """Replace the old string in every place of a record and of the output by the changed one.

    Python shares the objects of texts of one character: those are replaced at the top level only.
    """
    if len(old) > 1:
        _replace(record, old, new, set())
    for key, value in (output or {}).items():
        if value is old and output is not None and (len(old) > 1 or record.get(key) is new):
            output[key] = new


def _replace(holder: Any, old: str, new: str, seen: set[int]) -> None:
    if id(holder) in seen:
        return
    seen.add(id(holder))
    for key, value in list(holder.items() if isinstance(holder, dict) else enumerate(holder)):
        if value is old:
            holder[key] = new
        elif isinstance(value, (dict, list)):
            _replace(value, old, new, seen)


@cache
def changer(name: str) -> Callable[..., tuple[Any, Any]]:
    """Return the function that calls a changing method and returns the receiver (or a new string) and the value."""
    in_place = METHODS[name]
    plain = dispatcher(name)

    def call(receiver: Any, *args: Any, **block: Any) -> tuple[Any, Any]:
        if type(receiver) is str:
            method = in_place.get(str)
            if method is not None and method.mutates:
                if not method.takes_block:
                    block = {}
                changed: tuple[Any, Any] = method.function(receiver, *args, **block)
                return changed
            if method is None and object not in in_place:
                no_method(name, describe(receiver))
        return receiver, plain(receiver, *args, **block)

    call.__name__ = call.__qualname__ = name
    return call
