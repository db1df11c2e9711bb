"""The benchmark's figures, and how they are shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tests.benchmarks.measure import Cost

LEAST_RATIO = 0.7
MOST_MEGABYTES = 100
MOST_FIRST_EVENT_SECONDS = 0.5
MOST_VERSION_SECONDS = 0.15


@dataclass(frozen=True)
class Comparison:
    """The flagship and the yardstick with the same records."""

    title: str
    lines: int
    record_bytes: int
    start: Cost
    """logpipe with one event: what it takes to begin."""
    yardstick: Sequence[Cost]
    logpipe: Sequence[Cost]

    @property
    def ratio(self) -> float:
        """Events per CPU second, to the yardstick's; both processes from start to end, the best round of each."""
        return best(self.yardstick).cpu_seconds / best(self.logpipe).cpu_seconds

    @property
    def steady_ratio(self) -> float:
        """The same without what either takes to begin."""
        yardstick: float = min(json.loads(cost.output)["cpu_seconds"] for cost in self.yardstick)
        return yardstick / (best(self.logpipe).cpu_seconds - self.start.cpu_seconds)

    @property
    def yardstick_rate(self) -> float:
        """Events per CPU second of the yardstick, without what it takes to begin."""
        seconds: float = min(json.loads(cost.output)["cpu_seconds"] for cost in self.yardstick)
        return self.lines / seconds

    @property
    def megabytes(self) -> float:
        """The most memory that logpipe had in any round."""
        return max(cost.peak_bytes for cost in self.logpipe) / 1e6

    def rows(self) -> list[str]:
        """Return the figures as lines of text."""
        return [
            f"{self.title}, {self.record_bytes} bytes a record",
            f"  {'':<10}{'events/CPU s':>14}{'events/s':>11}{'CPU s':>8}{'peak MB':>9}",
            self._row("yardstick", self.yardstick),
            self._row("logpipe", self.logpipe),
            aim("of the yardstick's events/CPU s", self.ratio, "", at_least=LEAST_RATIO),
            f"    without what either takes to begin: {self.steady_ratio:.2f}",
            aim("peak memory", self.megabytes, " MB", at_most=MOST_MEGABYTES),
        ]

    def _row(self, name: str, costs: Sequence[Cost]) -> str:
        cheapest = best(costs)
        per_cpu, per_second = self.lines / cheapest.cpu_seconds, self.lines / cheapest.seconds
        peak = max(cost.peak_bytes for cost in costs) / 1e6
        return f"  {name:<10}{per_cpu:>14,.0f}{per_second:>11,.0f}{cheapest.cpu_seconds:>8.2f}{peak:>9.0f}"


@dataclass(frozen=True)
class Report:
    """All figures of one run of the benchmark."""

    broker: str
    lines: int
    input_bytes: int
    comparisons: Sequence[Comparison]
    first_event_seconds: float
    version_seconds: float

    def text(self) -> str:
        """Return the figures as a person reads them."""
        rows = [
            f"{self.lines:,} lines of {self.input_bytes / self.lines:.0f} bytes, every event arrived at {self.broker}"
        ]
        for comparison in self.comparisons:
            rows += ["", *comparison.rows()]
        rows += [
            "",
            "from the start of the program",
            aim("first event in kafka", self.first_event_seconds, " s", at_most=MOST_FIRST_EVENT_SECONDS),
            aim("logpipe --version", self.version_seconds, " s", at_most=MOST_VERSION_SECONDS),
        ]
        return "\n".join(rows)


def best(costs: Sequence[Cost]) -> Cost:
    """Return the round that took the least CPU time."""
    return min(costs, key=lambda cost: cost.cpu_seconds)


def aim(what: str, value: float, unit: str, *, at_least: float | None = None, at_most: float | None = None) -> str:
    """Return a figure beside what it should be, and whether it is."""
    met = (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
    wanted = f"at least {at_least:g}" if at_least is not None else f"at most {at_most:g}"
    return f"  {what}: {value:.3g}{unit}, {'met' if met else 'MISSED'}: {wanted}{unit}"
