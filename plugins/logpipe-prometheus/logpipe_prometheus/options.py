"""`<labels>`, `<metric>` and `<initlabels>`. Rules: fluent-plugin-prometheus 2.2.2, prometheus.rb."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

from logpipe import InvalidSetting, Options, Seconds, param, raw_section, section
from logpipe.ruby import ExpressionError, RecordAccessor, entries_of
from logpipe.tree import Element
from logpipe_prometheus.labels import is_path
from logpipe_prometheus.metrics import DEFAULT_BUCKETS, LONGEST_VALUE, Shape

HOSTNAME: Final = "${hostname}"
WORKER_ID: Final = "${worker_id}"
WORKER_LABEL: Final = "worker_id"
"""The label that every series has where there are several workers."""

_METRIC_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME: Final = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_RESERVED: Final = {"histogram": "le", "summary": "quantile"}


def _buckets(text: str) -> list[float]:
    found = [float(part) if "." in part or "e" in part.lower() else int(part) for part in text.split(",")]
    if any(low >= high for low, high in pairwise(found)) or not all(map(_is_finite, found)):
        raise ValueError("buckets are finite numbers, each larger than the one before: 0.1,1,10")
    return found


def _is_finite(bound: float) -> bool:
    return abs(bound) < float("inf")


class MetricOptions(Options):
    """Settings of `<metric>`."""

    name: str = param("The metric's name.")
    kind: Literal["counter", "gauge", "summary", "histogram"] = param(
        "`counter` adds values up, `gauge` has the last one, `summary` their sum and count, `histogram` how many are "
        "at most so large, too.",
        name="type",
    )
    desc: str = param("What it is, for people.")
    key: str | None = param(
        "Field whose number is taken, a name or `$.a.b`; events without it count for nothing. A counter without `key` "
        "counts events; the other types need one.",
        default=None,
    )
    buckets: list[float] | None = param(
        "Upper bounds of a histogram's buckets, ascending; unset: 0.005 to 10 seconds in eleven steps.",
        default=None,
        convert=_buckets,
    )
    initialized: bool = param(
        "Whether there is a series of 0 from the start on, for each `<initlabels>` where labels depend on events.",
        default=False,
    )
    retention: Seconds = param("How long a series stays that no event changes; 0 is for ever.", default=0)
    retention_check_interval: Seconds = param(
        "How often series are looked through.", default=60, no_effect="they are looked through when they are asked for"
    )
    max_series: int = param(
        "How many series the metric may have, which events decide by their labels. Values for more are left out, "
        f"counted, and said once. Values of labels are cut at {LONGEST_VALUE} characters.",
        default=10_000,
    )
    labels: list[Element] = raw_section("Labels of this metric alone, as those for all metrics.", name="labels")
    initlabels: list[Element] = raw_section(
        "Values of the labels that depend on events, for `initialized`; one section for each series.", name="initlabels"
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what makes no metric."""
        if not _METRIC_NAME.fullmatch(self.name):
            yield InvalidSetting("name is letters, digits, `_` and `:`, and begins with no digit", param="name")
        if not self.desc:
            yield InvalidSetting("desc says what the metric is: write a few words", param="desc")
        if self.key is None and self.kind != "counter":
            yield InvalidSetting(f"a {self.kind} needs a field: add key", param="type")
        if self.key is not None:
            yield from _check_path(self.key, "key")
        if self.buckets is not None and self.kind != "histogram":
            yield InvalidSetting(f"a {self.kind} has no buckets", param="buckets", severity="warning")
        for name, value in (("retention", self.retention), ("max_series", self.max_series)):
            if value < 0 or (name == "max_series" and value < 1):
                yield InvalidSetting(f"{name} is too small", param=name)
        yield from check_labels(self.labels, reserved=_RESERVED.get(self.kind))

    def shape(self, labels: Mapping[str, str]) -> Shape:
        """Return what it is, with these labels."""
        buckets = tuple(self.buckets or DEFAULT_BUCKETS) if self.kind == "histogram" else ()
        return Shape(self.name, self.kind, self.desc, tuple(sorted(labels)), buckets)


@dataclass(frozen=True, slots=True)
class Planned:
    """A metric as a stage has it."""

    options: MetricOptions
    labels: Mapping[str, str]
    """All of its labels, with their templates."""
    first: tuple[Mapping[str, str], ...]
    """Labels of the series that are there from the start on; texts may be `${hostname}` or `${worker_id}`."""


class StageOptions(Options):
    """Settings of `<filter>` and `<match> @type prometheus`."""

    labels: list[Element] = raw_section(
        "Labels of all metrics: `name value`. A value is a path into the record (`$.a.b`), or text with `${tag}`, "
        "`${tag_parts[N]}`, `${tag_prefix[N]}`, `${tag_suffix[N]}`, `${hostname}`, `${worker_id}` and fields: "
        '`${name}`, `${name["key"]}`, `${name[N]}`. A placeholder for which there is nothing stays as it is.',
        name="labels",
    )
    metric: list[MetricOptions] = section("One metric.", many=True)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield labels that are none, series that cannot be made at the start, and metrics that contradict."""
        yield from check_labels(self.labels)
        seen: dict[str, Shape] = {}
        for each in self.metric:
            shape = each.shape({})
            if seen.setdefault(shape.name, shape) != shape:
                message = f"the metric {shape.name} has another type, desc or buckets above"
                yield f"{message}: write the same, or another name"
            reserved = _RESERVED.get(each.kind)
            if reserved and reserved in self._labels_of(each):
                yield f"{reserved} is a label that a {each.kind} has already: give it another name"
            try:
                self._first(each)
            except InvalidSetting as problem:
                yield problem

    def planned(self) -> list[Planned]:
        """Return the metrics of valid settings."""
        return [Planned(each, self._labels_of(each), self._first(each)) for each in self.metric]

    def _labels_of(self, metric: MetricOptions) -> dict[str, str]:
        return {**labels_of(self.labels), **labels_of(metric.labels)}

    def _first(self, metric: MetricOptions) -> tuple[Mapping[str, str], ...]:
        labels = self._labels_of(metric)
        if not metric.initialized:
            return () if labels else ({},)  # the gem: a metric without labels is there from the start on
        open_ = {name for name, text in labels.items() if is_open(text)}
        given = [labels_of([each]) for each in metric.initlabels]
        for values in given:
            for name, value in values.items():
                _check_first(name, value, labels, metric.name)
            if missing := sorted(open_ - values.keys()):
                raise InvalidSetting(
                    f"metric {metric.name}: <initlabels> needs {', '.join(missing)}, which events decide"
                )
        if open_ and not given:
            names = ", ".join(sorted(open_))
            raise InvalidSetting(
                f"metric {metric.name}: initialized needs <initlabels> with {names}, which events decide"
            )
        return tuple({**labels, **values} for values in given or [{}])


def _check_first(name: str, value: str, labels: Mapping[str, str], metric: str) -> None:
    if name not in labels:
        raise InvalidSetting(f"metric {metric}: {name} in <initlabels> is no label: add it to <labels>")
    if is_open(value):
        raise InvalidSetting(f"metric {metric}: {name} in <initlabels> is a value, and no placeholder or path")
    if not is_open(labels[name]):
        raise InvalidSetting(f"metric {metric}: {name} does not depend on events: remove it from <initlabels>")


def is_open(text: str) -> bool:
    """Return whether events decide a label, by prometheus.rb's rule."""
    # compat: what does not begin with a placeholder is taken as it stands, `a-${tag}` too
    return is_path(text) or (text.startswith("${") and text not in {HOSTNAME, WORKER_ID})


def labels_of(sections: list[Element]) -> dict[str, str]:
    """Return the entries of sections; what is nil is empty."""
    return {name: text or "" for name, text in entries_of(sections).items()}


def check_labels(
    sections: list[Element], *, reserved: str | None = None, paths: bool = True
) -> Iterator[str | InvalidSetting]:
    """Yield what is no label; with `paths` false, values that are paths into records as well."""
    if len(sections) > 1:
        yield InvalidSetting("<labels> may stand here once: join them", position=sections[1].position)
    for each in sections:
        for name, entry in each.params.items():
            value: Any = entry.value
            if not _LABEL_NAME.fullmatch(name):
                message = f"{name} is no name of a label: letters, digits and _, and neither a digit nor __ first"
                yield InvalidSetting(message, position=entry.position)
            elif name == reserved:
                yield InvalidSetting(f"{name} is a label that the metric has already", position=entry.position)
            elif isinstance(value, str) and is_path(value):
                if not paths:
                    message = "no event is looked at here: write a text, ${hostname} or ${worker_id}"
                    yield InvalidSetting(f"<labels> {name}: {message}", position=entry.value_position)
                for problem in _check_path(value, ""):
                    yield InvalidSetting(f"<labels> {name}: {problem}", position=entry.place(problem.offset))


def _check_path(text: str, name: str) -> Iterator[InvalidSetting]:
    try:
        RecordAccessor(text)
    except ExpressionError as problem:
        hint = f": {problem.hint}" if problem.hint else ""
        yield InvalidSetting(f"{problem}{hint}", param=name, offset=problem.offset or 0)
