"""Prints events and passes them on. Settings: fluentd's plugin/filter_stdout.rb."""

from __future__ import annotations

from typing import ClassVar

from logpipe import AsyncFilter, EventBatch, FilterHost, Options, PluginConf, plugin_section, section
from logpipe.builtin.console import write_lines
from logpipe.codec import InjectOptions, compile_inject


class StdoutFilterOptions(Options):
    """Settings of `<filter> @type stdout`."""

    format: PluginConf = plugin_section("How an event is written.", kind="formatter", default_type="stdout")
    inject: InjectOptions | None = section("Fields to add to the printed record; the event itself is not changed.")


class StdoutFilter(AsyncFilter[StdoutFilterOptions], type="stdout"):
    """Prints each event to the log's destination."""

    compat: ClassVar = frozenset({"inject", "formatter"})

    def __init__(self, options: StdoutFilterOptions, host: FilterHost) -> None:
        super().__init__(options, host)
        self._formatter = host.formatter(options.format)
        self._injected = compile_inject(options.inject, host)

    async def process(self, batch: EventBatch) -> EventBatch:
        """Print a batch and return it; a record that cannot be printed goes to `@ERROR` as well."""
        printed = EventBatch(batch.tag, batch.times, self._injected(batch))

        def failed(index: int, error: Exception) -> None:
            event = dict(batch.records[index])
            self.host.emit_error(batch.tag, batch.times[index], event, error, receipt=batch.receipt)
            self.host.made(1)  # the event passes as well

        lines = b"".join(self._formatter.format_batch(printed, failed))
        await self.host.in_thread(write_lines, self.host.log, lines)
        return batch
