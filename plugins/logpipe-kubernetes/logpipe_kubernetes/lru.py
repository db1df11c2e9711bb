"""A mapping of bounded size."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Lru(Generic[K, V]):
    """A mapping that holds `size` items at most and forgets those that were used longest ago. None is no value."""

    def __init__(self, size: int) -> None:
        self._size = max(size, 1)
        self._items: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: K) -> V | None:
        """Return what was put under `key`, and count that as a use."""
        value = self._items.pop(key, None)
        if value is not None:
            self._items[key] = value
        return value

    def put(self, key: K, value: V) -> None:
        """Keep `value` under `key`, at the cost of the item used longest ago if there is no room."""
        self._items.pop(key, None)
        if len(self._items) >= self._size:
            del self._items[next(iter(self._items))]
        self._items[key] = value

    def discard(self, key: K) -> None:
        """Forget `key`."""
        self._items.pop(key, None)
