"""Lets a part of the events pass. Settings and rules: fluent-plugin-sampling-filter 1.2.0, filter_sampling.rb."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterator
from typing import Final

from logpipe import EventBatch, Filter, FilterHost, InvalidSetting, Options, Record, param
from logpipe.ruby import ExpressionError, RecordAccessor
from logpipe_community.identity import identity_of

MOST_UNITS: Final = 10_000
"""Tags or values that are counted; the one that is counted for longest begins anew when there are more."""
_MINUTE: Final = 60.0


class SamplingOptions(Options):
    """Settings of `<filter> @type sampling` and `sampling_filter`."""

    interval: int = param("One of so many events passes: the last of them.")
    sample_unit: str = param(
        "What is counted for itself: `tag`, `all` for one count, or a field, a name or a path such as `$.a.b`.",
        default="tag",
    )
    minimum_rate_per_min: int | None = param(
        "How many events pass in each minute before the others are counted.", default=None
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield an interval that is none, and a path that is none."""
        if self.interval < 1:
            yield InvalidSetting("interval must be 1 or more", param="interval")
        try:
            RecordAccessor(self.sample_unit)
        except ExpressionError as problem:
            yield InvalidSetting(str(problem), param="sample_unit")


class _Count:
    __slots__ = ("count", "until")

    def __init__(self, until: float) -> None:
        self.count = 0
        self.until = until


class Sampling(Filter[SamplingOptions], type=("sampling", "sampling_filter")):
    """Lets every nth event pass, and drops the others."""

    def __init__(self, options: SamplingOptions, host: FilterHost) -> None:
        super().__init__(options, host)
        self._counts: dict[Hashable, _Count] = {}
        self._unit: Callable[[str, Record], Hashable]
        accessor = RecordAccessor(options.sample_unit)
        match options.sample_unit:
            case "tag":
                self._unit = lambda tag, _: identity_of(tag)
            case "all":
                self._unit = lambda _, __: "all"
            case _:
                self._unit = lambda _, record: identity_of(accessor.get(record))

    def process(self, batch: EventBatch) -> EventBatch:
        """Return every nth event."""
        now = self.host.clock.monotonic()
        return batch.keep([self._passes(self._unit(batch.tag, record), now) for record in batch.records])

    def _passes(self, unit: Hashable, now: float) -> bool:
        least = self.options.minimum_rate_per_min
        counted = self._counts.get(unit)
        if counted is None:
            while len(self._counts) >= MOST_UNITS:
                del self._counts[next(iter(self._counts))]
            # the minutes of many tags that begin together are spread, as in the original
            counted = self._counts[unit] = _Count(now + _MINUTE - random.randrange(30))
        if least is not None and now > counted.until:
            counted.until, counted.count = now + _MINUTE, 0
        counted.count += 1
        return (least is not None and counted.count < least) or counted.count % self.options.interval == 0
