"""Records to what a command reads."""

from __future__ import annotations

from collections.abc import Callable

from logpipe import EventBatch, OutputHost, PluginConf
from logpipe.codec import InjectOptions, compile_inject


class Encoder:
    """Writes events by `<format>`, with the fields of `<inject>`, each text on a line of its own.

    Args:
        host: of the stage.
        format_conf: `<format>`.
        inject: `<inject>`.
        tag_of: makes the tag that a command sees of an event's.
    """

    def __init__(
        self,
        host: OutputHost,
        format_conf: PluginConf,
        inject: InjectOptions | None,
        tag_of: Callable[[str], str] = str,
    ) -> None:
        self._host = host
        self._formatter = host.formatter(format_conf)
        self._inject = compile_inject(inject, host)
        self._tag_of = tag_of

    def encode(self, batch: EventBatch) -> list[bytes]:
        """Return each event's bytes; a bad record is empty and goes to `@ERROR`."""
        tag, times, records = batch.tag, batch.times, batch.records
        seen = EventBatch(self._tag_of(tag), times, records)
        seen = EventBatch(seen.tag, times, self._inject(seen))

        def failed(index: int, error: Exception) -> None:
            self._host.emit_error(tag, times[index], records[index], error, receipt=batch.receipt)

        payloads = self._formatter.format_batch(seen, failed)
        if self._formatter.is_binary:
            return payloads
        # compat: out_exec.rb ends each text with one newline, whatever the formatter's settings say
        return [payload and payload.removesuffix(b"\n").removesuffix(b"\r") + b"\n" for payload in payloads]
