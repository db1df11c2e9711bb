"""Measures events, and drops them. Settings and rules: fluent-plugin-prometheus 2.2.2, out_prometheus.rb."""

from __future__ import annotations

from logpipe import EventBatch, Output, OutputHost
from logpipe_prometheus.instruments import Instruments, failure
from logpipe_prometheus.options import StageOptions


class OutputOptions(StageOptions):
    """Settings of `<match> @type prometheus`."""


class PrometheusOutput(Output[OutputOptions], type="prometheus"):
    """Counts events and measures their fields for Prometheus; it stands in a `copy`, as nothing comes behind it.

    An event whose field is no number for its metric goes to `@ERROR`.
    """

    def __init__(self, options: OutputOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        self._instruments = Instruments(options, host)

    async def start(self) -> None:
        """Take the metrics."""
        self._instruments.start()

    async def stop(self) -> None:
        """Give them back."""
        self._instruments.stop()

    async def process(self, batch: EventBatch) -> None:
        """Measure a batch."""
        for place, reasons in self._instruments.take(batch).items():
            error = failure(reasons)
            self.host.emit_error(batch.tag, batch.times[place], batch.record(place), error, receipt=batch.receipt)
