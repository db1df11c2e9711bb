"""String and Symbol: upper and lower case."""

from __future__ import annotations

from collections.abc import Callable

from logpipe.expression.methods.declaration import Methods
from logpipe.expression.runtime.values import Symbol

methods = Methods()


def _downcase(text: str, *_options: Symbol) -> str:
    return text.lower()


def _upcase(text: str, *_options: Symbol) -> str:
    return text.upper()


def _capitalize(text: str, *_options: Symbol) -> str:
    return text.capitalize()


def _swapcase(text: str, *_options: Symbol) -> str:
    return text.swapcase()


def _of_symbol(change: Callable[..., str]) -> Callable[[Symbol], Symbol]:
    return lambda symbol: Symbol.of(change(symbol.name))


def _in_place(change: Callable[..., str]) -> Callable[..., tuple[str, str | None]]:
    """Return the method with `!`: it returns the changed text, and as value the same, or nil where nothing changed."""

    def changed(text: str, *options: Symbol) -> tuple[str, str | None]:
        result = change(text, *options)
        return result, None if result == text else result

    return changed


for _name, _change in (
    ("downcase", _downcase),
    ("upcase", _upcase),
    ("capitalize", _capitalize),
    ("swapcase", _swapcase),
):
    methods.of(str, names=_name, returns=str)(_change)
    methods.of(Symbol, names=_name, returns=Symbol)(_of_symbol(_change))
    methods.of(str, names=_name + "!", mutates=True)(_in_place(_change))
