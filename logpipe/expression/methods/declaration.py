"""Decorators with which a module registers its methods in an object of its own.

A method is a Python function whose first parameter is the receiver; a parameter named `block` receives the block.
`table` combines the modules' objects.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from logpipe.expression.runtime.values import DefaultHash, Yielded

F = TypeVar("F", bound=Callable[..., Any])

_FAMILIES: Final[dict[type, tuple[type, ...]]] = {list: (list, Yielded), dict: (dict, DefaultHash)}


class Method(NamedTuple):
    """One method of one type, or one function."""

    function: Callable[..., Any]
    least: int
    most: int | None
    """The numbers of arguments it accepts, without receiver and block; None means any."""
    takes_block: bool
    returns: type | None = None
    """The Python type of its result, where that is always the same."""
    yields: int = 1
    """The number of values it passes to its block at a time."""
    mutates: bool = False
    """Whether it may change its receiver, or for a string returns a replacement."""


class Methods:
    """The methods of one module."""

    def __init__(self) -> None:
        self.methods: list[tuple[str, type, Method]] = []
        """By name and the receiver's Python type; the type `object` is every value's."""
        self.functions: list[tuple[str, str, Method]] = []
        """By constant (`JSON`, `Digest::MD5`) and name; the constant "" is Kernel, whose functions stand alone."""

    def of(
        self, *types: type, names: str, returns: type | None = None, yields: int = 1, mutates: bool = False
    ) -> Callable[[F], F]:
        """Register a method of these types; `names` are separated by blanks."""
        kinds = [kind for given in types for kind in _FAMILIES.get(given, (given,))]

        def add(function: F) -> F:
            method = described(function, returns, yields, skip=1, mutates=mutates)
            self.methods += [(name, kind, method) for name in names.split() for kind in kinds]
            return function

        return add

    def each_of(self, *types: type, named: Mapping[str, Callable[..., Any]], returns: type | None = None) -> None:
        """Register a method of these types for each entry of `named`, whose keys are names separated by blanks."""
        for names, function in named.items():
            self.of(*types, names=names, returns=returns)(function)

    def function(self, *constants: str, names: str, returns: type | None = None, yields: int = 1) -> Callable[[F], F]:
        """Register a function that is called on constants: `JSON.parse`."""

        def add(function: F) -> F:
            method = described(function, returns, yields)
            self.functions += [(constant, name, method) for name in names.split() for constant in constants]
            return function

        return add


def described(
    function: Callable[..., Any], returns: type | None = None, yields: int = 1, *, skip: int = 0, mutates: bool = False
) -> Method:
    """Return the `Method` of a function by its signature; the first `skip` parameters are not arguments."""
    written = getattr(function, "__wrapped__", function)
    code = getattr(written, "__code__", None)
    if code is None:  # a builtin of Python
        return Method(function, 0, None, takes_block=False, returns=returns, yields=yields, mutates=mutates)
    positional = code.co_varnames[: code.co_argcount]
    takes_block = "block" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    optional = positional[len(positional) - len(written.__defaults__ or ()) :]
    most = len(positional) - skip - ("block" in positional)
    least = most - len(optional) + ("block" in optional)
    has_rest = code.co_flags & inspect.CO_VARARGS
    return Method(function, least, None if has_rest else most, takes_block, returns, yields, mutates)
