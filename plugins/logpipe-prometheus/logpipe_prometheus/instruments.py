"""What the filter and the output share: from batches to series."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from logpipe import EventBatch, Host, LogpipeError
from logpipe.ruby import RecordAccessor
from logpipe_prometheus.labels import Label, rows
from logpipe_prometheus.metrics import Metric, Series, number
from logpipe_prometheus.options import HOSTNAME, WORKER_ID, WORKER_LABEL, Planned, StageOptions
from logpipe_prometheus.registry import REGISTRY, claim

LEFT_OUT: Final = ("left_out_values", "Values that are in no series, since their metric has max_series already.")

Failures: TypeAlias = dict[int, list[str]]
"""What is wrong with an event, by its number in the batch."""


class Instruments:
    """The metrics of one stage, from its constructor to `stop`.

    Raises:
        InvalidSetting: another stage describes one of them otherwise.
    """

    def __init__(self, options: StageOptions, host: Host) -> None:
        self._host = host
        self._constants = constants_of(host)
        self._unknown: set[str] = set()
        self._left_out = host.counter(*LEFT_OUT)
        self._each = [self._instrument(planned) for planned in options.planned()]

    def _instrument(self, planned: Planned) -> _Instrument:
        templates = {**planned.labels}
        if self._host.workers > 1:
            templates.setdefault(WORKER_LABEL, WORKER_ID)
        shape = planned.options.shape(templates)
        claim(self._host, shape)
        labels = [Label(templates[name], self._constants, self._missing) for name in shape.labels]
        first = [
            tuple(self._constants.get(text, text) for text in map({**templates, **values}.__getitem__, shape.labels))
            for values in planned.first
        ]
        return _Instrument(planned, Metric(shape), labels, first, self._refused)

    def start(self) -> None:
        """Take the metrics, with what an earlier configuration has counted."""
        now = self._host.clock.monotonic()
        for each in self._each:
            each.start(now)

    def stop(self) -> None:
        """Give them back; safe to call twice."""
        for each in self._each:
            each.stop()

    def take(self, batch: EventBatch) -> Failures:
        """Measure a batch; return what is wrong with those events that some metric could not take."""
        failures: Failures = {}
        now = self._host.clock.monotonic()
        for each in self._each:
            each.take(batch, now, failures)
        return failures

    def _missing(self, placeholder: str) -> None:
        """Say of a placeholder, once, that there was nothing for it."""
        if placeholder not in self._unknown:
            self._unknown.add(placeholder)
            self._host.log.warning(
                "unknown placeholder %s found: it stays as it is where there is nothing", placeholder
            )

    def _refused(self, metric: Metric, count: int) -> None:
        if not metric.left_out:
            text = "metric %s has max_series %d already: values for other labels are left out, and counted"
            self._host.log.warning(text, metric.shape.name, metric.most)
        metric.left_out += count
        self._left_out.add(count)


class _Instrument:
    """One metric of a stage."""

    def __init__(
        self,
        planned: Planned,
        metric: Metric,
        labels: list[Label],
        first: Iterable[tuple[str, ...]],
        refused: Callable[[Metric, int], None],
    ) -> None:
        self._options = planned.options
        self._shape = metric.shape
        self._metric = metric  # until `start` one of its own
        self._is_taken = False
        self._labels = labels
        self._first = first
        self._refused = refused
        key = self._options.key
        self._get = None if key is None else RecordAccessor(key).get
        if key is not None:
            self.take: Callable[[EventBatch, float, Failures], None] = self._observe
        elif any(label.reads_records for label in labels):
            self.take = self._count_each
        else:
            self.take = self._count_all

    def start(self, now: float) -> None:
        options = self._options
        self._metric = REGISTRY.take(self._shape, most=options.max_series, retention=options.retention)
        self._is_taken = True
        for values in self._first:
            self._series(values, now)

    def stop(self) -> None:
        if self._is_taken:
            self._is_taken = False
            REGISTRY.give_back(self._metric)

    def _series(self, values: tuple[str, ...], now: float) -> Series | None:
        return self._metric.find(values) or self._metric.make(values, now)

    def _count_all(self, batch: EventBatch, now: float, _failures: Failures) -> None:
        """Count a batch whose events have the same labels, without a look at their fields."""
        self._add(tuple(label.of_tag(batch.tag) for label in self._labels), len(batch), now)

    def _count_each(self, batch: EventBatch, now: float, _failures: Failures) -> None:
        for values, count in Tally(rows(self._labels, batch)).items():
            self._add(values, count, now)

    def _add(self, values: tuple[str, ...], count: int, now: float) -> None:
        series = self._series(values, now)
        if series is None:
            self._refused(self._metric, count)
            return
        series.value += count
        series.touched = now

    def _observe(self, batch: EventBatch, now: float, failures: Failures) -> None:
        get, metric = self._get, self._metric
        assert get is not None  # noqa: S101 - there is a key
        find, kind = metric.find, self._shape.kind
        refused = 0
        values_of = zip(map(get, batch.records), rows(self._labels, batch), strict=True)
        for place, (value, values) in enumerate(values_of):
            if value is None or (value is False and kind != "counter"):  # compat: prometheus.rb: `if value`
                continue
            try:
                taken = number(value, kind)
            except LogpipeError as problem:
                failures.setdefault(place, []).append(f"metric {self._shape.name}, {self._options.key}: {problem}")
                continue
            series = find(values) or metric.make(values, now)
            if series is None:
                refused += 1
                continue
            metric.observe(series, taken)
            series.touched = now
        if refused:
            self._refused(metric, refused)


def failure(reasons: list[str]) -> LogpipeError:
    """Return the error of an event that some metrics could not take."""
    return LogpipeError("; ".join(reasons))


def constants_of(host: Host) -> Mapping[str, str]:
    """Return the placeholders that are the same for all events."""
    return {HOSTNAME: host.hostname, WORKER_ID: str(host.worker_id)}
