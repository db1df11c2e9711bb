"""All metrics of this process, as `Prometheus::Client.registry` has them, and their text.

It outlives a configuration: a metric that the next one describes in the same way goes on with its numbers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from logpipe import Host, InvalidSetting
from logpipe.monitor import head_text, labels_text, sample_text
from logpipe_prometheus.metrics import Metric, Shape

MOST_LEFT: Final = 1000
"""Metrics of configurations that are no longer, kept for the next one."""
_LINES_A_TURN: Final = 2000
"""Written before others get a turn."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric's samples, as somebody computes them when asked."""

    name: str
    kind: str
    doc: str
    lines: Iterable[str]
    """Of one series each."""


Source: TypeAlias = Callable[[], Iterable[Family]]


class Registry:
    """Metrics that stages count in, and sources of others."""

    def __init__(self) -> None:
        self._metrics: dict[Shape, Metric] = {}
        self._sources: dict[object, Source] = {}

    def take(self, shape: Shape, *, most: int, retention: float) -> Metric:
        """Return the metric of a shape, which has its numbers if there is one already.

        The larger limit of those who share it counts, and the longer retention, where 0 is for ever.
        """
        metric = self._metrics.setdefault(shape, Metric(shape))
        if metric.users:
            metric.most = max(metric.most, most)
            metric.retention = max(metric.retention, retention) if metric.retention and retention else 0.0
        else:
            metric.most, metric.retention = most, retention
        metric.users += 1
        return metric

    def give_back(self, metric: Metric) -> None:
        """Say that a stage ends which has taken a metric; it stays for the next configuration."""
        metric.users -= 1
        left = [shape for shape, each in self._metrics.items() if not each.users]
        for shape in left[: max(0, len(left) - MOST_LEFT)]:
            del self._metrics[shape]

    def sweep(self) -> None:
        """Forget the metrics that nobody has taken; for when all that count have started."""
        self._metrics = {shape: metric for shape, metric in self._metrics.items() if metric.users}

    def add(self, owner: object, source: Source) -> None:
        """Ask a source, too."""
        self._sources[owner] = source

    def remove(self, owner: object) -> None:
        """Ask a source no longer; nothing where it is not asked."""
        self._sources.pop(owner, None)

    async def text(self, now: float, labels: Iterable[tuple[str, str]]) -> str:
        """Return everything in the text format; `labels` are for what is said of the metrics themselves."""
        parts: list[str] = []
        turn = 0
        for name, members in self._families(now, labels).items():
            parts.append(head_text(name, members[0].kind, members[0].doc))
            for line in _lines(members):
                parts.append(line)
                turn += 1
                if not turn % _LINES_A_TURN:
                    await asyncio.sleep(0)
        return "".join(parts)

    def _families(self, now: float, labels: Iterable[tuple[str, str]]) -> dict[str, list[Family]]:
        found: dict[str, list[Family]] = {}
        for metric in self._metrics.values():
            metric.expire(now)
            shape = metric.shape
            found.setdefault(shape.name, []).append(Family(shape.name, shape.kind, shape.doc, metric.lines()))
        for source in self._sources.values():
            for family in source():
                found.setdefault(family.name, []).append(family)
        left_out: dict[str, int] = {}
        for metric in self._metrics.values():
            if metric.left_out:
                left_out[metric.shape.name] = left_out.get(metric.shape.name, 0) + metric.left_out
        if left_out:
            name = "logpipe_prometheus_left_out_total"
            lines = [
                sample_text(name, labels_text((*labels, ("metric", each))), float(count))
                for each, count in left_out.items()
            ]
            doc = "Values that are in no series, since the metric has max_series already."
            found.setdefault(name, []).append(Family(name, "counter", doc, lines))
        return found


def _lines(members: list[Family]) -> Iterable[str]:
    """Return the lines of a family; of a series that several have, the last one's."""
    if len(members) == 1:
        return members[0].lines
    by_series = {line.rpartition(" ")[0]: line for member in members for line in _split(member.lines)}
    return by_series.values()


def _split(lines: Iterable[str]) -> Iterator[str]:
    for several in lines:
        yield from (f"{line}\n" for line in several.split("\n") if line)  # labels may hold other ends of lines


REGISTRY: Final = Registry()


def claim(host: Host, shape: Shape) -> None:
    """Reserve a metric's names in the constructor of a stage; stages that describe the same share them.

    Raises:
        InvalidSetting: another stage describes it otherwise.
    """
    same = f"{shape.kind} {shape.doc!r} {shape.buckets}"
    for name in shape.names:
        other = _taken(host, "metric", name)
        # who describes it in the same way has reserved both
        if other is not None and _taken(host, f"metric {name}", same) is None:
            raise InvalidSetting(f"{other}, or write its type, desc and buckets as they stand there")
        if other is None:
            _taken(host, f"metric {name}", same)


def _taken(host: Host, kind: str, name: str) -> str | None:
    """Reserve a name; return who has it where another stage has."""
    try:
        host.claim(kind, name)
    except InvalidSetting as problem:
        return str(problem)
    return None
