"""Which methods exist, on which types, and how a call whose receiver's type is not known finds its function.

The table is built once, here, of what the modules of this package name, and never changes: whoever can import it sees
all of it, in whatever order modules are imported. The methods that look others up by their names are here too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

from logpipe.expression.arithmetic import string_argument
from logpipe.expression.failures import RubyError, no_method
from logpipe.expression.methods import (
    array,
    array_order,
    binary,
    constants,
    conversion,
    counting,
    date,
    enumerable,
    enumerable_groups,
    enumerable_search,
    file,
    kernel,
    moment,
    names,
    network,
    number,
    pattern,
    rounding,
    string,
    string_case,
    string_edit,
    string_match,
    string_parts,
)
from logpipe.expression.methods import hash as hashes
from logpipe.expression.methods import object as objects
from logpipe.expression.methods import range as ranges
from logpipe.expression.methods.declaration import Method, Methods
from logpipe.expression.methods.members import WALKED, Block, members
from logpipe.expression.text import describe
from logpipe.expression.values import Proc, Symbol

K = TypeVar("K")

methods = Methods()


@methods.of(object, names="respond_to?", returns=bool)
def responds_to(value: Any, name: Any, _private: Any = None) -> bool:
    """Return whether the value has a method of that name."""
    found = METHODS.get(name.name if isinstance(name, Symbol) else string_argument(name), {})
    return type(value) in found or object in found


@methods.of(Symbol, names="to_proc")
def symbol_to_proc(symbol: Symbol) -> Proc:
    """Return a lambda that calls the method of that name."""
    return Proc(dispatcher(symbol.name), -2, is_lambda=True)


@methods.of(*WALKED, names="inject reduce", yields=2)
def folded(value: Any, *start: Any, block: Block | None = None) -> Any:
    """Fold the members with the block or with an operator: `inject(:+)`, `reduce(0) { |sum, x| … }`."""
    rest = list(members(value))
    args = list(start)
    if block is None and not args and len(rest) < 2:
        return rest[0] if rest else None
    if block is None:
        operator = args.pop()
        block = dispatcher(operator.name if isinstance(operator, Symbol) else str(operator))
    memo = args[0] if args else rest.pop(0) if rest else None
    for member in rest:
        memo = block(memo, member)
    return memo


def put_together(
    parts: Iterable[Methods],
) -> tuple[Mapping[str, Mapping[type, Method]], Mapping[str, Mapping[str, Method]]]:
    """Return the methods by name and type, and the functions by constant and name, in mappings that never change.

    Raises:
        ValueError: two parts name the same one.
    """
    of_types: dict[str, dict[type, Method]] = {}
    of_constants: dict[str, dict[str, Method]] = {}
    for part in parts:
        for name, kind, method in part.methods:
            if of_types.setdefault(name, {}).setdefault(kind, method) is not method:
                raise ValueError(f"{kind.__name__}#{name} is named twice")
        for constant, name, method in part.functions:
            if of_constants.setdefault(constant, {}).setdefault(name, method) is not method:
                raise ValueError(f"{constant}.{name} is named twice")
    return _frozen(of_types), _frozen(of_constants)


def _frozen(table: dict[str, dict[K, Method]]) -> Mapping[str, Mapping[K, Method]]:
    return MappingProxyType({name: MappingProxyType(found) for name, found in table.items()})


def _dispatcher(name: str, found: Mapping[type, Method]) -> Callable[..., Any]:
    table = {kind: method.function for kind, method in found.items()}
    no_block = frozenset(method.function for method in found.values() if not method.takes_block)
    fallback = table.get(object)
    find = table.get

    def call(receiver: Any, *args: Any, **block: Any) -> Any:
        implementation = find(type(receiver), fallback)
        if implementation is None:
            if isinstance(receiver, RubyError):
                implementation = find(RubyError)
            if implementation is None:
                no_method(name, describe(receiver))
        if block and implementation in no_block:
            block = {}
        try:
            return implementation(receiver, *args, **block)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is None:
                raise RubyError("ArgumentError", f"wrong number of arguments for `{name}'") from None
            raise

    call.__name__ = call.__qualname__ = name
    return call


METHODS, FUNCTIONS = put_together(
    [
        *(
            module.methods
            for module in (
                array, array_order, binary, constants, conversion, counting, date, enumerable, enumerable_groups,
                enumerable_search, file, hashes, kernel, moment, names, network, number, objects, pattern, ranges,
                rounding, string, string_case, string_edit, string_match, string_parts,
            )
        ),
        methods,
    ]
)  # fmt: skip
_DISPATCHERS: Final = {name: _dispatcher(name, found) for name, found in METHODS.items()}


def dispatcher(name: str) -> Callable[..., Any]:
    """Return the function that calls method `name` of whatever its first argument is."""
    return _DISPATCHERS.get(name) or _missing(name)


def _missing(name: str) -> Callable[..., Any]:
    """Return what refuses every receiver; not kept, since such a name comes from a record."""

    def call(receiver: Any, *_args: Any, **_block: Any) -> Any:
        no_method(name, describe(receiver))

    return call


def similar(name: str, known: Iterable[str]) -> str:
    """Return `did you mean "x"?`, or where nothing is near, an empty text."""
    import difflib  # noqa: PLC0415 - only mistakes need it

    near = difflib.get_close_matches(name, list(known), n=1)
    return f'did you mean "{near[0]}"?' if near else ""
