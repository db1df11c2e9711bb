"""What counts as a failure of a stage, whatever class its exception has, and what its class shows to be wrong."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, Final

from logpipe.errors import UnexpectedExit


def failure_of(raised: BaseException) -> Exception | None:
    """Return what a stage raised as an error like any other; None where it must be passed on.

    A CancelledError is an order only where somebody has asked this task to stop: a library that cancels a future of
    its own raises the same in whoever awaits it. Nor may `sys.exit` in a stage end the process.
    """
    if isinstance(raised, Exception):
        return raised
    if isinstance(raised, SystemExit):
        return _as_error(raised, f"SystemExit({raised.code!r}) in the middle of the pipeline")
    if isinstance(raised, asyncio.CancelledError) and not _is_asked_to_stop():
        return _as_error(raised, "CancelledError, and nobody has asked this task to stop")
    return None


def _is_asked_to_stop() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        return False
    return task is not None and task.cancelling() > 0


def _as_error(raised: BaseException, message: str) -> Exception:
    text = str(raised) if isinstance(raised, asyncio.CancelledError) else ""
    error = UnexpectedExit(f"{message}: {text}" if text else message)
    error.__cause__ = raised
    return error


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
