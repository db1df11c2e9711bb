"""Prints events. Settings: fluentd's plugin/out_stdout.rb."""

from __future__ import annotations

from typing import ClassVar

from logpipe import Chunk, EventBatch, Options, Output, OutputHost, PluginConf, param, plugin_section, section
from logpipe.builtin.chunk_payloads import payloads_of
from logpipe.builtin.console import write_lines, write_to_stdout
from logpipe.codec import InjectOptions, compile_inject


class StdoutOptions(Options):
    """Settings of `<match> @type stdout`."""

    use_logger: bool = param("Print to the log's destination, which `-o` may set; else to stdout.", default=True)
    format: PluginConf = plugin_section("How an event is written.", kind="formatter", default_type="stdout")
    inject: InjectOptions | None = section("Fields to add.")


class Stdout(Output[StdoutOptions], type="stdout"):
    """Prints each event on a line: time, tag, JSON."""

    compat: ClassVar = frozenset({"inject", "formatter"})
    buffer_argument = "tag"
    buffer_defaults: ClassVar = {"flush_at_shutdown": "true", "chunk_limit_size": "10240"}

    def __init__(self, options: StdoutOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        self._formatter = host.formatter(options.format)
        self._injected = compile_inject(options.inject, host)

    def encode(self, batch: EventBatch) -> list[bytes]:
        """Return each event's line; a bad record is empty and goes to `@ERROR`."""
        tag, times, records = batch.tag, batch.times, batch.records
        written = EventBatch(tag, times, self._injected(batch))

        def failed(index: int, error: Exception) -> None:
            self.host.emit_error(tag, times[index], records[index], error, receipt=batch.receipt)

        return [line and _chomped(line) + b"\n" for line in self._formatter.format_batch(written, failed)]

    async def process(self, batch: EventBatch) -> None:
        """Print a batch."""
        await self._print(b"".join(self.encode(batch)))

    async def write(self, chunk: Chunk) -> None:
        """Print a chunk."""
        await self._print(b"".join(payloads_of(chunk, self.encode)))

    async def _print(self, lines: bytes) -> None:
        # a pipe without a reader blocks
        if self.options.use_logger:
            await self.host.in_thread(write_lines, self.host.log, lines)
        else:
            await self.host.in_thread(write_to_stdout, lines)


def _chomped(line: bytes) -> bytes:
    return line.removesuffix(b"\n").removesuffix(b"\r")
