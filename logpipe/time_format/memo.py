"""A dictionary that works out what it does not hold, and never holds too much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_LONGEST: Final = 64
"""Characters of a text that is worth remembering: stamps are shorter, and what is longer is not seen twice."""


class Memo(dict[K, V]):
    """Remembers what `compute` returned, and forgets everything when it holds `size` answers.

    Looking up what is there costs no Python call: this is what makes time stamps cheap, since many events share a
    second. An exception of `compute` passes through and is not remembered.
    """

    __slots__ = ("_compute", "_size")

    def __init__(self, compute: Callable[[K], V], *, size: int = 1024) -> None:
        super().__init__()
        self._compute = compute
        self._size = size

    def __missing__(self, key: K) -> V:
        value = self._compute(key)
        if isinstance(key, str) and len(key) > _LONGEST:
            return value
        if len(self) >= self._size:
            self.clear()
        self[key] = value
        return value
