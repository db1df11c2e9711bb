"""Shows followed files. Names and labels: fluent-plugin-prometheus 2.2.2, in_prometheus_tail_monitor.rb."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from logpipe_prometheus.monitors.status import Kind, Row, StatusMonitor, StatusOptions, numbers_of

_GAUGES: Final = {
    "position": "Current position of file.",
    "inode": "Current inode of file.",
    "closed": "Number of files closed.",
    "opened": "Number of files opened.",
    "rotated": "Number of files rotated.",
    "throttled": "Number of times files got throttled.",
}
_COUNTS: Final = ("closed_file_count", "opened_file_count", "rotated_file_count", "throttled_log_count")


class PrometheusTailMonitorOptions(StatusOptions):
    """Settings of `<source> @type prometheus_tail_monitor`."""


class PrometheusTailMonitor(StatusMonitor[PrometheusTailMonitorOptions], type="prometheus_tail_monitor"):
    """Shows how far `tail` has read as `fluentd_tail_file_…`, a series for each file that is there.

    A position is what a new run would begin at: what outputs and buffers have not yet taken is not in it.
    """

    own_labels = ("plugin_id", "type", "path")

    def metrics(self) -> Iterable[tuple[str, Kind, str]]:
        """Return the gauges."""
        return [(f"fluentd_tail_file_{name}", "gauge", doc) for name, doc in _GAUGES.items()]

    def rows(self) -> Iterator[Row]:
        """Yield each file's; the counts are those of its source, as in the plugin."""
        for state in self.host.monitor.plugins():
            if state.type != "tail":
                continue
            numbers = numbers_of(state)
            counts = [numbers.get(name, 0) for name in _COUNTS]
            for account in state.accounts():
                if account.position is not None:
                    labels = {"plugin_id": state.plugin_id, "type": state.type, "path": account.name}
                    yield labels, (account.position, account.inode, *counts)
