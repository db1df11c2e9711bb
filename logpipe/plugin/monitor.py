"""What a plugin may see of the others: a view of the running graph, computed when somebody looks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from logpipe.event import Time
from logpipe.metrics import Measurement


@dataclass(frozen=True, slots=True)
class RetryState:
    """How far an output that fails has come with its retries."""

    start: Time
    """When it failed first."""
    steps: int
    next_time: Time


class PluginState(Protocol):
    """One input, filter or output."""

    plugin_id: str
    kind: str
    """input, filter or output."""
    type: str
    """Its `@type`, as it was written."""

    def measurements(self) -> Iterable[Measurement]:
        """Return its counters and gauges as they are now; NaN for what cannot be read."""
        ...

    def config(self) -> Mapping[str, str | None]:
        """Return the parameters of its own section, without those of nested sections; secrets are masked."""
        ...

    def retry(self) -> RetryState | None:
        """Return how a failing output is tried again; None while nothing fails."""
        ...

    def timekeys(self) -> Sequence[int] | None:
        """Return the time slices in its buffer, seconds since the epoch in order; None where there is no buffer."""
        ...


class Monitor(Protocol):
    """The running graph of one worker, to be read only."""

    def plugins(self) -> Sequence[PluginState]:
        """Return all inputs, then the outputs and filters of the root, then those of each label."""
        ...

    def output_of(self, tag: str) -> PluginState | None:
        """Return the output that events of that tag go to outside of labels, None where there is none."""
        ...

    def measurements(self) -> Iterable[Measurement]:
        """Return what is counted of routes, dead letters and the ledger, and of no plugin."""
        ...

    def ledger(self) -> Mapping[str, Any]:
        """Return where every byte and every event of this run went so far, as JSON has it."""
        ...

    def process(self) -> Mapping[str, Any]:
        """Return pid, ppid, version, and what the command line and `<system>` say about files, by fluentd's names."""
        ...
