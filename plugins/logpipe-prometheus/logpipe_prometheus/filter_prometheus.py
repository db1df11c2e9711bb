"""Measures events on their way. Settings and rules: fluent-plugin-prometheus 2.2.2, filter_prometheus.rb."""

from __future__ import annotations

from logpipe import EventBatch, Filter, FilterHost
from logpipe_prometheus.instruments import Instruments, failure
from logpipe_prometheus.options import StageOptions


class FilterOptions(StageOptions):
    """Settings of `<filter> @type prometheus`."""


class PrometheusFilter(Filter[FilterOptions], type="prometheus"):
    """Counts events and measures their fields for Prometheus, and passes all of them on unchanged.

    Of an event whose field is no number for its metric a copy goes to `@ERROR`, and the event goes on.
    """

    def __init__(self, options: FilterOptions, host: FilterHost) -> None:
        super().__init__(options, host)
        self._instruments = Instruments(options, host)

    async def start(self) -> None:
        """Take the metrics."""
        self._instruments.start()

    async def stop(self) -> None:
        """Give them back."""
        self._instruments.stop()

    def process(self, batch: EventBatch) -> EventBatch:
        """Return the batch as it was."""
        failures = self._instruments.take(batch)
        for place, reasons in failures.items():
            record = dict(batch.record(place))
            self.host.emit_error(batch.tag, batch.times[place], record, failure(reasons), receipt=batch.receipt)
        if failures:
            self.host.made(len(failures))
        return batch
