"""Metrics and their series. Rules: the gem prometheus-client 4.2, lib/prometheus/client/*.rb."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from logpipe import LogpipeError
from logpipe.monitor import labels_text, sample_text

LONGEST_VALUE: Final = 1024
"""Characters of a label's value: events choose it."""

DEFAULT_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

_UNSPEAKABLE: Final = re.compile("[\0\ud800-\udfff]")
"""What Prometheus' parser ends at, and what is no UTF-8."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a metric is; stages that describe the same share it."""

    name: str
    kind: str
    """counter, gauge, summary or histogram."""
    doc: str
    labels: tuple[str, ...] = ()
    """Their names, in order."""
    buckets: tuple[float, ...] = ()
    """The upper bounds of a histogram, ascending, without that of infinity."""

    @property
    def names(self) -> list[str]:
        """Every name that its samples have."""
        suffixes = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
        return [self.name, *(self.name + suffix for suffix in suffixes.get(self.kind, ()))]


class Series:
    """The samples of one set of labels."""

    __slots__ = ("count", "labels", "parts", "touched", "value")

    def __init__(self, labels: str, buckets: int) -> None:
        self.labels = labels
        """As they are written."""
        self.value = 0.0
        """Of a summary or histogram, the sum."""
        self.count = 0
        self.parts = [0] * buckets
        """How many values each bucket has that the ones before have not."""
        self.touched = 0.0
        """When it last changed, monotonic seconds; kept where there is a retention."""


class Metric:
    """All series of a shape."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.users = 0
        self.most = 0
        """How many series it may have."""
        self.retention = 0.0
        """Seconds after which a series goes that does not change; 0 for never."""
        self.left_out = 0
        """Values that would have been of one series more."""
        self.series: dict[tuple[str, ...], Series] = {}
        self.find = self.series.get

    def make(self, values: tuple[str, ...], now: float) -> Series | None:
        """Return the series of labels that `find` does not know; None where there are too many."""
        spoken = tuple(map(_spoken, values))
        found = self.series.get(spoken)
        if found is not None:
            return found
        if len(self.series) >= self.most:
            self.expire(now)
            if len(self.series) >= self.most:
                return None
        labels = labels_text(zip(self.shape.labels, spoken, strict=True))
        self.series[spoken] = made = Series(labels, len(self.shape.buckets))
        made.touched = now
        return made

    def expire(self, now: float) -> None:
        """Let go of series that have not changed for `retention`."""
        if self.retention:
            before = now - self.retention
            for values in [values for values, series in self.series.items() if series.touched < before]:
                del self.series[values]

    def lines(self) -> Iterator[str]:
        """Yield the samples of all series; each series' at one time, and the series that were there at the start."""
        name = self.shape.name
        write = {"histogram": self._histogram, "summary": _summary}.get(self.shape.kind, _plain)
        for series in [*self.series.values()]:
            yield write(name, series)

    def _histogram(self, name: str, series: Series) -> str:
        total, lines = 0, []
        prefix = f"{series.labels}," if series.labels else ""
        for bound, count in zip(self.shape.buckets, series.parts, strict=True):
            total += count
            lines.append(sample_text(f"{name}_bucket", f'{prefix}le="{bound}"', float(total)))
        lines.append(sample_text(f"{name}_bucket", f'{prefix}le="+Inf"', float(series.count)))
        return "".join(lines) + _summary(name, series)

    def observe(self, series: Series, value: float) -> None:
        """Take a value of `number`, as the metric's kind does."""
        if self.shape.kind == "gauge":
            series.value = value
            return
        series.value += value
        series.count += 1
        for place, bound in enumerate(self.shape.buckets):
            if value <= bound:
                series.parts[place] += 1
                return


def number(value: Any, kind: str) -> float:
    """Return a field's value as a finite number that a metric of that kind takes; text is none, as in the gem.

    Raises:
        LogpipeError: it is none.
    """
    if type(value) is not float and type(value) is not int:
        raise LogpipeError(f"its value is no number, but of type {type(value).__name__}")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):  # which would stay in a sum for ever
        raise LogpipeError("its value is no finite number")
    if kind == "counter" and found < 0:
        raise LogpipeError("a counter's increment must not be negative")
    return found


def _spoken(value: str) -> str:
    short = value if len(value) <= LONGEST_VALUE else value[: LONGEST_VALUE - 1] + "…"
    return _UNSPEAKABLE.sub("\ufffd", short)


def _plain(name: str, series: Series) -> str:
    return sample_text(name, series.labels, series.value)


def _summary(name: str, series: Series) -> str:
    count = sample_text(f"{name}_count", series.labels, float(series.count))
    return sample_text(f"{name}_sum", series.labels, series.value) + count
