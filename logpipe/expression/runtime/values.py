"""The Python types of Ruby values without a built-in counterpart.

nil is None, true and false are bool, Integer int, Float float, String str (invalid bytes as lone surrogates, as by
`surrogateescape`), Array list, Hash dict. Keys that Python would confuse, such as 1 and true, are wrapped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from logpipe.expression.runtime.failures import BUDGET


class Symbol:
    """`:name`; there is one object per name, and it equals no string."""

    __slots__ = ("name",)

    _known: ClassVar[dict[str, Symbol]] = {}
    _MOST: ClassVar[int] = 100_000

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Symbol({self.name!r})"

    @classmethod
    def of(cls, name: str) -> Symbol:
        """Return the symbol of that name."""
        found = cls._known.get(name)
        if found is None:
            if len(cls._known) >= cls._MOST:  # names from records must not fill the memory; code refers to its own
                cls._known.clear()
            found = cls._known[name] = cls(name)
        return found

    def __eq__(self, other: object) -> bool:
        return self is other or (type(other) is Symbol and other.name == self.name)

    def __hash__(self) -> int:
        return hash((Symbol, self.name))


class HashKey:
    """A key that Python would confuse with another (true with 1, 1.0 with 1) or cannot hash (a list)."""

    __slots__ = ("_frozen", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self._frozen = _freeze(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HashKey) and self._frozen == other._frozen

    def __hash__(self) -> int:
        return hash(self._frozen)


def _freeze(value: Any) -> Any:
    if isinstance(value, (list, dict)):
        BUDGET.spend(len(value))
    if isinstance(value, list):
        return ("list", *map(_freeze, value))
    if isinstance(value, dict):
        return ("dict", frozenset((_freeze(key), _freeze(item)) for key, item in value.items()))
    return (type(value).__name__, value)


_PLAIN_KEYS: Final = (str, int, type(None), Symbol)


def as_key(value: Any) -> Any:
    """Return a Ruby value as a key of a dict."""
    return value if type(value) in _PLAIN_KEYS else HashKey(value)


def from_key(key: Any) -> Any:
    """Return the Ruby value of a key of a dict."""
    return key.value if type(key) is HashKey else key


class DefaultHash(dict[Any, Any]):
    """A Hash with a default value or a block that makes one: `Hash.new(0)`, `Hash.new { |h, k| … }`."""

    __slots__ = ("default", "maker")

    def __init__(self, default: Any = None, maker: Callable[[Any, Any], Any] | None = None) -> None:
        super().__init__()
        self.default = default
        self.maker = maker


class Yielded(list[Any]):
    """A pair that Ruby yields as two values: a block with one parameter takes the first."""

    __slots__ = ()


@dataclass(slots=True, frozen=True)
class Range:
    """`low..high`; None is an open end."""

    low: Any
    high: Any
    exclusive: bool

    @property
    def stop(self) -> int:
        """The integer after the last one, for ranges of integers."""
        return int(self.high) + (0 if self.exclusive else 1)


@dataclass(slots=True, frozen=True)
class RubyClass:
    """A class or module as a value, such as `x.class`; `name` is its full name."""

    name: str


class Proc:
    """A lambda or block as a value."""

    __slots__ = ("arity", "function", "is_lambda")

    def __init__(self, function: Callable[..., Any], arity: int, *, is_lambda: bool) -> None:
        self.function = function
        self.arity = arity
        self.is_lambda = is_lambda

    def __call__(self, *args: Any) -> Any:
        """Call it; each call takes a step of the budget, which limits recursion."""
        BUDGET.spend()
        return self.function(*args)


class Enumerator:
    """The result of an iterator without its block: the values, and the method that waits for a block."""

    __slots__ = ("method", "receiver", "values")

    def __init__(self, values: list[Any], method: str, receiver: Any) -> None:
        self.values = values
        self.method = method
        self.receiver = receiver

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)
