"""The table of all methods by type, and the dispatch of calls whose receiver's type is unknown.

The table is built here, once, from all modules of this package, and never changes, so that it is complete in whatever
order modules are imported. The methods that look others up by their names are here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

from logpipe.expression.methods import (
    array,
    array_order,
    binary,
    constants,
    conversion,
    date,
    enumerable,
    enumerable_groups,
    enumerable_search,
    file,
    kernel,
    moment,
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
from logpipe.expression.runtime.arithmetic import string_argument
from logpipe.expression.runtime.failures import RubyError, no_method
from logpipe.expression.runtime.text import describe
from logpipe.expression.runtime.values import Proc, Symbol

K = TypeVar("K")
_Table: TypeAlias = dict[str, dict[K, Method]]
Dispatcher: TypeAlias = Callable[..., Any]

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


def put_together(parts: Iterable[Methods]) -> tuple[_Table[type], _Table[str]]:
    """Return the methods by name and type, and the functions by constant and name.

    Raises:
        ValueError: two parts name the same one.
    """
    of_types: _Table[type] = {}
    of_constants: _Table[str] = {}
    for part in parts:
        for name, kind, method in part.methods:
            if of_types.setdefault(name, {}).setdefault(kind, method) is not method:
                raise ValueError(f"{kind.__name__}#{name} is named twice")
        for constant, name, method in part.functions:
            if of_constants.setdefault(constant, {}).setdefault(name, method) is not method:
                raise ValueError(f"{constant}.{name} is named twice")
    return of_types, of_constants


def _frozen(table: _Table[K]) -> Mapping[str, Mapping[K, Method]]:
    return MappingProxyType({name: MappingProxyType(found) for name, found in table.items()})


def _dispatcher(name: str, found: dict[type, Method]) -> Dispatcher:
    functions = {kind: method.function for kind, method in found.items()}
    find = functions.get
    fallback = find(object)

    def call(receiver: Any, *args: Any, **block: Any) -> Any:
        function = find(type(receiver), fallback)
        if function is None:
            if isinstance(receiver, RubyError):
                function = find(RubyError)
            if function is None:
                no_method(name, describe(receiver))
        if block and function not in _WITH_BLOCK:
            block = {}
        try:
            return function(receiver, *args, **block)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is None:
                raise RubyError("ArgumentError", f"wrong number of arguments for `{name}'") from None
            raise

    return call


_MODULES: Final = (
    array, array_order, binary, constants, conversion, date, enumerable, enumerable_groups, enumerable_search,
    file, hashes, kernel, moment, network, number, objects, pattern, ranges, rounding, string, string_case,
    string_edit, string_match, string_parts,
)  # fmt: skip
_of_types, _of_constants = put_together([methods, *(module.methods for module in _MODULES)])

METHODS: Final = _frozen(_of_types)
"""By method name, then by the receiver's Python type; the type `object` has the methods of every value."""
FUNCTIONS: Final = _frozen(_of_constants)
"""By constant (`JSON`, `Digest::MD5`), then by name; the constant "" has Kernel's functions."""
_WITH_BLOCK: Final = frozenset(
    method.function for found in _of_types.values() for method in found.values() if method.takes_block
)
_DISPATCHERS: Final = {name: _dispatcher(name, found) for name, found in _of_types.items()}


def dispatcher(name: str) -> Dispatcher:
    """Return the function that calls method `name` of its first argument, by its type."""
    return _DISPATCHERS.get(name) or _missing(name)


def _missing(name: str) -> Dispatcher:
    """Return the function that refuses every receiver; not cached, since such a name comes from a record."""

    def call(receiver: Any, *_args: Any, **_block: Any) -> Any:
        no_method(name, describe(receiver))

    return call


def similar(name: str, known: Iterable[str]) -> str:
    """Return `did you mean "x"?`, or an empty text where no name is near."""
    import difflib  # noqa: PLC0415 - only mistakes need it

    near = difflib.get_close_matches(name, list(known), n=1)
    return f'did you mean "{near[0]}"?' if near else ""
