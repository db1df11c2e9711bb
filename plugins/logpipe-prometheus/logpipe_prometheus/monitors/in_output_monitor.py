"""Shows outputs. Names and labels: fluent-plugin-prometheus 2.2.2, in_prometheus_output_monitor.rb."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from logpipe import param
from logpipe.monitor import PluginState
from logpipe_prometheus.monitors.status import Kind, Row, StatusMonitor, StatusOptions, numbers_of, oldest_and_newest

_BUFFER: Final = {
    "buffer_total_bytes": ("buffer_total_queued_size", "Current total size of stage and queue buffers."),
    "buffer_stage_length": ("buffer_stage_length", "Current length of stage buffers."),
    "buffer_stage_byte_size": ("buffer_stage_byte_size", "Current total size of stage buffers."),
    "buffer_queue_length": ("buffer_queue_length", "Current length of queue buffers."),
    "buffer_queue_byte_size": ("buffer_queue_byte_size", "Current total size of queue buffers."),
}
"""The plugin's names, ours, and what they are."""
_SPACE: Final = "buffer_available_buffer_space_ratios"
_OUTPUT: Final = {
    "retry_count": ("retry_count", "Current retry counts."),
    "num_errors": ("retry_count", "Current number of errors."),
    "emit_count": ("emit_count", "Current emit counts."),
    "emit_records": ("taken_records", "Current emit records."),
    "write_count": ("write_count", "Current write counts."),
    "rollback_count": ("rollback_count", "Current rollback counts."),
    "flush_time_count": ("flush_time_count", "Total flush time."),
    "slow_flush_count": ("slow_flush_count", "Current slow flush counts."),
}
"""The same; what an output does not count is 0."""


class PrometheusOutputMonitorOptions(StatusOptions):
    """Settings of `<source> @type prometheus_output_monitor`."""

    gauge_all: bool = param(
        "Whether numbers that only grow are called gauges too; false calls them counters, but for rollback_count.",
        default=True,
    )


class PrometheusOutputMonitor(StatusMonitor[PrometheusOutputMonitorOptions], type="prometheus_output_monitor"):
    """Shows what outputs have done as `fluentd_output_status_…`, read when Prometheus asks."""

    def metrics(self) -> Iterable[tuple[str, Kind, str]]:
        """Return all names."""
        growing: Kind = "gauge" if self.options.gauge_all else "counter"
        told: list[tuple[str, Kind, str]] = [(name, "gauge", doc) for name, (_, doc) in _BUFFER.items()]
        told += [
            ("buffer_available_space_ratio", "gauge", "Ratio of available space in buffer."),
            ("buffer_newest_timekey", "gauge", "Newest timekey in buffer."),
            ("buffer_oldest_timekey", "gauge", "Oldest timekey in buffer."),
        ]
        # compat: in_prometheus_output_monitor.rb has this one as a gauge always
        told += [(name, "gauge" if name == "rollback_count" else growing, doc) for name, (_, doc) in _OUTPUT.items()]
        told.append(("retry_wait", "gauge", "Current retry wait"))
        return [(f"fluentd_output_status_{name}", kind, doc) for name, kind, doc in told]

    def rows(self) -> Iterator[Row]:
        """Yield each output's."""
        for state in self.host.monitor.plugins():
            if state.kind != "output":
                continue
            numbers = numbers_of(state)
            space = numbers.get(_SPACE)
            oldest, newest = oldest_and_newest(state)
            buffer = (numbers.get(name) for name, _ in _BUFFER.values())
            output = (numbers.get(name, 0) for name, _ in _OUTPUT.values())
            ratio = None if space is None else round(space, 1)
            labels = {"plugin_id": state.plugin_id, "type": state.type}
            yield labels, (*buffer, ratio, newest, oldest, *output, _wait(state))


def _wait(state: PluginState) -> float:
    """Return the seconds from the first failure to the next attempt; 0 while nothing fails."""
    retry = state.retry()
    return 0.0 if retry is None else (retry.next_time - retry.start) / 1e9
