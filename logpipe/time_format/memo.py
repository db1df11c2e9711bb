"""A bounded cache for computed values, as a dictionary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_LONGEST: Final = 64
"""Characters; longer texts are not cached, since time stamps are shorter and other texts rarely repeat."""


class Memo(dict[K, V]):
    """Caches the results of `compute`; cleared when it holds `size` of them.

    A hit costs no Python call, which makes time stamps cheap, since many events share a second. An exception of
    `compute` is passed on and not cached.
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
