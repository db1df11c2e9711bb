"""A mapping of bounded size."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Lru(Generic[K, V]):
    """A mapping of at most `size` items that drops the least recently used ones. None is not a valid value."""

    def __init__(self, size: int) -> None:
        self._size = max(size, 1)
        self._items: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: K) -> V | None:
        """Return the value of `key`, and count that as a use."""
        value = self._items.pop(key, None)
        if value is not None:
            self._items[key] = value
        return value

    def put(self, key: K, value: V) -> None:
        """Store `value` under `key`; drops the least recently used item if it is full."""
        self._items.pop(key, None)
        if len(self._items) >= self._size:
            del self._items[next(iter(self._items))]
        self._items[key] = value

    def discard(self, key: K) -> None:
        """Remove `key`."""
        self._items.pop(key, None)
