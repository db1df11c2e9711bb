"""Counters and gauges: plain numbers, added to once per batch and read by the monitor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counter:
    """A number that only grows."""

    name: str
    doc: str
    value: int = 0

    def add(self, amount: int) -> None:
        """Add `amount`, usually a batch's length."""
        self.value += amount


@dataclass(slots=True)
class Metrics:
    """All counters and gauges of one plugin, by name."""

    counters: dict[str, Counter] = field(default_factory=dict)
    gauges: dict[str, Callable[[], float]] = field(default_factory=dict)

    def counter(self, name: str, doc: str) -> Counter:
        """Return the counter of that name, the same one each time."""
        return self.counters.setdefault(name, Counter(name, doc))

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """Register a number that is read when somebody asks."""
        self.gauges[name] = read

    def snapshot(self) -> dict[str, float]:
        """Return every number as it is now."""
        values: dict[str, float] = {name: counter.value for name, counter in self.counters.items()}
        values.update((name, read()) for name, read in self.gauges.items())
        return values
