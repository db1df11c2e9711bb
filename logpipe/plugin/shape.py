"""What a plugin's class shows to be wrong, told when it is made: what is async and must not be, what is missing."""

from __future__ import annotations

import inspect
from typing import Any, Final

_BASES: Final = "logpipe.plugin."
_SYNCHRONOUS: Final = frozenset({"encode"})
"""Methods that must not wait, and that the base class has no function for."""


def check_shape(cls: type[Any], one_of: tuple[str, ...]) -> None:
    """Compare a plugin's class with its base.

    Args:
        cls: the class; without `types` it is a base for others, and may leave out what they add.
        one_of: the methods of which a plugin of its kind overrides at least one.

    Raises:
        TypeError: it cannot work.
    """
    for name, value in vars(cls).items():
        if inspect.isfunction(value):
            _check_method(cls, name, value)
    if one_of and cls.types and all(getattr(cls, name) is _inherited(cls, name) for name in one_of):
        raise TypeError(f"{cls.__name__} does nothing yet: write its method {' or '.join(one_of)}")


def told(plugin: object, method: str, result: object, wanted: str) -> str:
    """Return what is wrong with what a plugin's method has returned."""
    if inspect.iscoroutine(result):
        result.close()  # else Python says that nobody has awaited it
    return f"{type(plugin).__name__}.{method} returned a {type(result).__name__}: return {wanted}"


def _check_method(cls: type[Any], name: str, function: Any) -> None:
    contract = _inherited(cls, name)
    if not inspect.isfunction(contract) and name not in _SYNCHRONOUS:
        return
    where = f"{cls.__name__}.{name}"
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{where} is a generator: return its result, do not yield it")
    is_async = inspect.iscoroutinefunction(function)
    if is_async and not inspect.iscoroutinefunction(contract):
        other = ", or derive from AsyncFilter and write async def process" if cls.kind == "filter" else ""
        raise TypeError(f"{where} must not wait: write def {name} in place of async def{other}")
    if not is_async and inspect.iscoroutinefunction(contract) and not hasattr(function, "__wrapped__"):
        raise TypeError(f"{where} is awaited: write async def {name}")


def _inherited(cls: type[Any], name: str) -> Any:
    """Return what the contract has under a name; None where it has nothing."""
    for base in cls.__mro__[1:]:
        if base.__module__.startswith(_BASES) and name in vars(base):
            return vars(base)[name]
    return None
