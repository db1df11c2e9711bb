"""What the monitors share: labels, and gauges that are read when Prometheus asks. Rules: in_prometheus_monitor.rb."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Final, Literal, TypeAlias, TypeVar

from logpipe import Input, InputHost, InvalidSetting, Options, Seconds, param, raw_section
from logpipe.monitor import PluginState, labels_text, sample_text
from logpipe.tree import Element
from logpipe_prometheus.instruments import constants_of
from logpipe_prometheus.metrics import Shape
from logpipe_prometheus.options import WORKER_ID, WORKER_LABEL, check_labels, labels_of
from logpipe_prometheus.registry import REGISTRY, Family, claim

Kind: TypeAlias = Literal["counter", "gauge"]
Value: TypeAlias = float | None
Row: TypeAlias = tuple[Mapping[str, str], Iterable[Value]]
"""Labels, and a value for each metric, None where there is none."""

_CONSTANT: Final = re.compile(r"\$\{(?:hostname|worker_id)\}")


class StatusOptions(Options):
    """Settings of each."""

    interval: Seconds = param(
        "How often numbers are read.", default=5, no_effect="they are read when they are asked for"
    )
    labels: list[Element] = raw_section(
        "Further labels: `name value`, where ${hostname} and ${worker_id} are filled in.", name="labels"
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what is no label."""
        yield from check_labels(self.labels, paths=False)


O = TypeVar("O", bound=StatusOptions)  # noqa: E741 - the one letter that reads as "options"


class StatusMonitor(Input[O]):
    """Override `metrics` and `rows`; each has a value for each of the others."""

    several_workers = True
    own_labels: ClassVar[tuple[str, ...]] = ("plugin_id", "type")

    def __init__(self, options: O, host: InputHost) -> None:
        super().__init__(options, host)
        constants = constants_of(host)
        texts = labels_of(options.labels)
        if host.workers > 1:
            texts.setdefault(WORKER_LABEL, WORKER_ID)
        self._base = {
            name: _CONSTANT.sub(lambda found: constants[found[0]], text)
            for name, text in texts.items()
            if name not in self.own_labels  # as in the plugin, the stage's own win
        }
        self._shapes = [Shape(name, kind, doc) for name, kind, doc in self.metrics()]
        for shape in self._shapes:
            claim(host, shape)

    def metrics(self) -> Iterable[tuple[str, Kind, str]]:
        """Return name, kind and description of each metric."""
        raise NotImplementedError

    def rows(self) -> Iterable[Row]:
        """Return the values of today."""
        raise NotImplementedError

    async def start(self) -> None:
        """Be asked from now on."""
        REGISTRY.add(self, self._families)

    async def run(self) -> None:
        """Do nothing: values are read when Prometheus asks."""

    async def stop(self) -> None:
        """Be asked no longer."""
        REGISTRY.remove(self)

    def _families(self) -> Iterator[Family]:
        lines: list[list[str]] = [[] for _ in self._shapes]
        for labels, values in self.rows():
            written = labels_text({**self._base, **labels}.items())
            for shape, of_shape, value in zip(self._shapes, lines, values, strict=True):
                if value is not None:
                    of_shape.append(sample_text(shape.name, written, float(value)))
        for shape, of_shape in zip(self._shapes, lines, strict=True):
            yield Family(shape.name, shape.kind, shape.doc, of_shape)


def numbers_of(state: PluginState) -> dict[str, float]:
    """Return the counters and gauges of a stage by our names."""
    return {each.name: each.value for each in state.measurements()}


def oldest_and_newest(state: PluginState) -> tuple[Value, Value]:
    """Return the first and the last time slice in a buffer, None where it has none."""
    timekeys = state.timekeys()
    return (timekeys[0], timekeys[-1]) if timekeys else (None, None)
