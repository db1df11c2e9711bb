"""Counters and gauges: plain numbers, added to once per batch and read by the monitor; and what sources account for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(slots=True)
class Counter:
    """A number that only grows."""

    name: str
    doc: str
    value: int = 0

    def add(self, amount: int) -> None:
        """Add `amount`, usually a batch's length."""
        self.value += amount


@dataclass(frozen=True, slots=True)
class Measurement:
    """A counter or a gauge as it was when somebody asked."""

    kind: Literal["counter", "gauge"]
    name: str
    value: float
    doc: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    """What it was counted of, where several share the name."""


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

    def measurements(self, failed: Callable[[str, Exception], None]) -> Iterator[Measurement]:
        """Yield every number with what is known of it; a gauge that fails is NaN, and `failed` is told."""
        for counter in self.counters.values():
            yield measure(counter)
        for name, read in self.gauges.items():
            try:
                value = read()
            except Exception as error:  # noqa: BLE001 - one gauge must not hide all other numbers
                failed(name, error)
                value = math.nan
            yield Measurement("gauge", name, value)


def measure(counter: Counter, *, prefix: str = "", labels: tuple[tuple[str, str], ...] = ()) -> Measurement:
    """Return a counter as it is now."""
    return Measurement("counter", prefix + counter.name, counter.value, counter.doc, labels)


@dataclass(frozen=True, slots=True)
class SourceAccount:
    """Where the bytes of one source went, a file's say: every one of them is in exactly one of these numbers."""

    name: str
    written: int
    """Bytes that the source is known to have held, whatever became of them."""
    before: int = 0
    """What an earlier run had read, or what was there before the first one and was not asked for."""
    read: int = 0
    """What became events that were accepted, or lines that are counted as unmatched."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """What was passed over on purpose, by reason."""
    abandoned: Mapping[str, int] = field(default_factory=dict)
    """What could not be read any more and is lost, by reason."""
    waiting: int = 0
    """What is still to be read."""
    position: int | None = field(default=None, compare=False)
    """Up to where its present file is read and safe: where a new run would begin. None where there is no such file."""
    inode: int | None = field(default=None, compare=False)
    """That file's inode."""

    @property
    def unexplained(self) -> int:
        """Bytes that are in none of the numbers; anything but 0 is a mistake of ours."""
        told = self.before + self.read + sum(self.skipped.values()) + sum(self.abandoned.values()) + self.waiting
        return self.written - told
