"""A dictionary that works out what it does not hold, and never holds too much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_SIZE: Final = 1024


class Memo(dict[K, V]):
    """Remembers what `compute` returned; forgets everything when it holds 1024 answers.

    Looking up what is there costs no Python call: this is what makes time stamps cheap, since many events share a
    second. An exception of `compute` passes through and is not remembered.
    """

    __slots__ = ("_compute",)

    def __init__(self, compute: Callable[[K], V]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, key: K) -> V:
        value = self._compute(key)
        if len(self) >= _SIZE:
            self.clear()
        self[key] = value
        return value
