"""Which methods exist, on which types, and how a call whose receiver's type is not known finds its function.

A method is a Python function whose first parameter is the receiver; a parameter called `block` takes the block. The
modules of this package fill the tables when they are imported; `load` imports them all.
"""

from __future__ import annotations

import importlib
import inspect as introspection
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeVar

from logpipe.expression.failures import RubyError, no_method
from logpipe.expression.text import describe
from logpipe.expression.values import DefaultHash, Yielded

F = TypeVar("F", bound=Callable[..., Any])

_MODULES: Final = (
    "array", "array_order", "binary", "constants", "conversion", "counting", "date", "enumerable", "enumerable_groups",
    "enumerable_search", "file", "hash", "kernel", "moment", "names", "network", "number", "object", "pattern", "range",
    "rounding", "string", "string_case", "string_edit", "string_match", "string_parts",
)  # fmt: skip

_FAMILIES: Final[dict[type, tuple[type, ...]]] = {list: (list, Yielded), dict: (dict, DefaultHash)}


@dataclass(slots=True, frozen=True)
class Method:
    """One method of one type."""

    name: str
    function: Callable[..., Any]
    least: int
    most: int | None
    """How many arguments it takes, without receiver and block; None means any number."""
    takes_block: bool
    returns: type | None = None
    """The Python type of what it gives, where that is always the same."""
    yields: int = 1
    """How many values it hands to its block at a time."""
    mutates: bool = False
    """Whether it may change its receiver, or for a string gives a changed one to put in its place."""


METHODS: Final[dict[str, dict[type, Method]]] = {}
"""By method name, then by the receiver's Python type; the type `object` holds what every value has."""

FUNCTIONS: Final[dict[str, dict[str, Method]]] = {}
"""By constant (`JSON`, `Digest::MD5`), then by name; the constant "" holds what Kernel offers everywhere."""

CONSTANTS: Final[dict[str, Any]] = {}
"""Constants that are plain values, such as `Float::INFINITY`."""


def method(
    *types: type, names: str, returns: type | None = None, yields: int = 1, mutates: bool = False
) -> Callable[[F], F]:
    """Register a function under each of `names`, separated by blanks, for receivers of these types."""

    def register(function: F) -> F:
        for name in names.split():
            found = _method(name, function, returns, yields, skip=1, mutates=mutates)
            for kind in types:
                for member in _FAMILIES.get(kind, (kind,)):
                    METHODS.setdefault(name, {})[member] = found
        return function

    return register


def function(constant: str, *, names: str, returns: type | None = None, yields: int = 1) -> Callable[[F], F]:
    """Register a function that is called on a constant: `JSON.parse`; the constant "" is Kernel."""

    def register(implementation: F) -> F:
        for name in names.split():
            FUNCTIONS.setdefault(constant, {})[name] = _method(
                name, implementation, returns, yields, skip=0, mutates=False
            )
        return implementation

    return register


def _method(name: str, function: F, returns: type | None, yields: int, *, skip: int, mutates: bool) -> Method:
    code = getattr(function, "__code__", None)
    if code is None:  # a builtin of Python
        return Method(name, function, 0, None, takes_block=False, returns=returns, yields=yields, mutates=mutates)
    unwrapped = code if not hasattr(function, "__wrapped__") else function.__wrapped__.__code__
    positional = list(unwrapped.co_varnames[: unwrapped.co_argcount])
    named = positional + list(unwrapped.co_varnames[len(positional) : len(positional) + unwrapped.co_kwonlyargcount])
    takes_block = "block" in named
    defaults = len(getattr(function, "__defaults__", None) or ()) if unwrapped is code else _defaults(function)
    wanted = len(positional) - skip - ("block" in positional)
    optional = defaults - ("block" in positional[len(positional) - defaults :] if defaults else 0)
    has_rest = bool(unwrapped.co_flags & introspection.CO_VARARGS)
    return Method(
        name, function, wanted - optional, None if has_rest else wanted, takes_block, returns, yields, mutates
    )


def offered(name: str, function: Callable[..., Any]) -> Method:
    """Describe a function that only some expressions may call."""
    return _method(name, function, None, 1, skip=0, mutates=False)


def _defaults(function: Callable[..., Any]) -> int:
    return len(getattr(function.__wrapped__, "__defaults__", None) or ())  # type: ignore[attr-defined]  # the caller looked


@cache
def load() -> None:
    """Import every module of methods; done when the first expression is compiled."""
    for module in _MODULES:
        importlib.import_module(f"logpipe.expression.methods.{module}")


def similar(name: str, known: object) -> str:
    """Return `did you mean "x"?`, or where nothing is near, an empty text."""
    import difflib  # noqa: PLC0415 - only mistakes need it

    names = [item for item in known if isinstance(item, str)] if isinstance(known, (dict, set, frozenset)) else []
    near = difflib.get_close_matches(name, names, n=1)
    return f'did you mean "{near[0]}"?' if near else ""


def dispatcher(name: str) -> Callable[..., Any]:
    """Return the function that calls method `name` of whatever its first argument is."""
    return _dispatcher(name) if name in METHODS else _missing(name)


def _missing(name: str) -> Callable[..., Any]:
    """Return what refuses every receiver; not remembered, since such a name comes from a record."""

    def call(receiver: Any, *_args: Any, **_block: Any) -> Any:
        no_method(name, describe(receiver))

    return call


@cache
def _dispatcher(name: str) -> Callable[..., Any]:
    methods = METHODS.get(name, {})
    table = {kind: found.function for kind, found in methods.items()}
    no_block = frozenset(found.function for found in methods.values() if not found.takes_block)
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


def responds(receiver: Any, name: str) -> bool:
    """Whether a value has the method."""
    found = METHODS.get(name, {})
    return type(receiver) in found or object in found
