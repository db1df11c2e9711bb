"""Shows buffers and retries. Names and labels: fluent-plugin-prometheus 2.2.2, in_prometheus_monitor.rb."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from logpipe_prometheus.monitors.status import Kind, Row, StatusMonitor, StatusOptions, numbers_of, oldest_and_newest

_GAUGES: Final = {
    "buffer_newest_timekey": "Newest timekey in buffer.",
    "buffer_oldest_timekey": "Oldest timekey in buffer.",
    "buffer_queue_length": "Current buffer queue length.",
    "buffer_total_bytes": "Current total size of queued buffers.",
    "retry_count": "Current retry counts.",
}


class PrometheusMonitorOptions(StatusOptions):
    """Settings of `<source> @type prometheus_monitor`."""


class PrometheusMonitor(StatusMonitor[PrometheusMonitorOptions], type="prometheus_monitor"):
    """Shows the buffers and retries of outputs as `fluentd_status_…`, read when Prometheus asks."""

    own_labels = ("plugin_id", "plugin_category", "type")

    def metrics(self) -> Iterable[tuple[str, Kind, str]]:
        """Return the gauges."""
        return [(f"fluentd_status_{name}", "gauge", doc) for name, doc in _GAUGES.items()]

    def rows(self) -> Iterator[Row]:
        """Yield each output's."""
        for state in self.host.monitor.plugins():
            if state.kind != "output":  # others have none of the numbers
                continue
            numbers = numbers_of(state)
            oldest, newest = oldest_and_newest(state)
            labels = {"plugin_id": state.plugin_id, "plugin_category": state.kind, "type": state.type}
            queue = (numbers.get(name) for name in ("buffer_queue_length", "buffer_total_queued_size"))
            yield labels, (newest, oldest, *queue, numbers.get("retry_count", 0))
