"""Joins the lines of stack traces and emits them under another tag: fluent-plugin-detect-exceptions 0.0.16."""

from __future__ import annotations

from collections.abc import Iterable

from logpipe import EventBatch, Output, OutputHost, Receipt, RetryingSender, param
from logpipe.net import Seldom
from logpipe.tree import Element, Way
from logpipe_community.detect_exceptions.accumulator import Accumulator, Trace
from logpipe_community.detect_exceptions.filter import TOO_MUCH, batch_of
from logpipe_community.detect_exceptions.options import TraceOptions
from logpipe_community.joining import joint_with


class OutputOptions(TraceOptions):
    """Settings of `<match> @type detect_exceptions`."""

    remove_tag_prefix: str = param("What is cut off the tag, with the dot behind it, so that a later <match> gets it.")


class DetectExceptions(Output[OutputOptions], type="detect_exceptions"):
    """Emits events again without the prefix of their tag, the lines of a stack trace as the event of its first line.

    A trace goes on when a line comes that is not its, when it has waited for `multiline_flush_interval`, at `max_lines`
    and `max_bytes`, and at the end.
    """

    keeps_tag = False

    @classmethod
    def ways(cls, element: Element) -> Iterable[Way]:
        """Return the one way, with the tag that is left."""
        prefix = element.get("remove_tag_prefix") or ""
        return (Way(retag=lambda tag: _without(tag, prefix)),)

    def __init__(self, options: OutputOptions, host: OutputHost) -> None:
        super().__init__(options, host)
        self._traces = Accumulator(options, host.clock)
        self._warn = Seldom(host.log.warning, host.clock.monotonic, "batches")
        self._sender = RetryingSender(host.emit, host, "an output behind it")
        self._delivered = host.counter("emit_records", "Events that it has emitted again.")
        host.gauge("held_records", self._traces.open.held)

    async def start(self) -> None:
        """Begin to look for traces that wait for too long."""
        self.host.start_task(self._flush(), name="flush")

    async def process(self, batch: EventBatch) -> None:
        """Emit what belongs to no trace, and the traces that are complete now."""
        times, records, complete, given_up = self._traces.push(batch)
        self._joined(complete)
        receipt = joint_with(batch, [*complete])
        if times:
            await self._emit(EventBatch(self._new_tag(batch.tag), times, records, receipt))
        if receipt is not None and receipt is not batch.receipt:
            receipt.release()
        if given_up:
            self._warn(TOO_MUCH, len(given_up))
            await self._let_go(given_up)  # where nothing is accepted, whoever brings more waits

    async def flush(self) -> None:
        """Emit every trace, as it is."""
        await self._let_go([*self._traces.open.all()])

    async def _flush(self) -> None:
        while True:
            await self.host.clock.sleep(max(self._traces.patience / 10, 1.0))
            for trace in self._traces.old():
                # a task for each, so that a tag whose output takes nothing does not hold up the others
                self.host.start_task(self._let_go([trace]), name="emit")

    async def _let_go(self, traces: list[Trace]) -> None:
        self._joined(traces)
        with self._traces.open.leaving(traces):
            for trace in traces:
                batch = batch_of(self._new_tag(trace.tag), [trace])
                receipt = batch.receipt
                await self._emit(batch)
                if receipt is not None:
                    receipt.release()

    async def _emit(self, batch: EventBatch) -> None:
        """Emit until it is accepted: who has brought the lines must not bring them again, and may have no receipt."""
        if batch.receipt is None:
            batch.receipt = Receipt(_nobody_waits)
        try:
            await self._sender.send(batch)
        except Exception as error:  # noqa: BLE001 - whatever a stage raises on what comes through `@ERROR`
            for time, record in batch.events():
                self.host.emit_error(batch.tag, time, record, error, receipt=batch.receipt)
        else:
            self._delivered.add(len(batch))

    def _new_tag(self, tag: str) -> str:
        return _without(tag, self.options.remove_tag_prefix)

    def _joined(self, traces: Iterable[Trace]) -> None:
        self.host.dropped(sum(len(trace) - 1 for trace in traces))


def _without(tag: str, prefix: str) -> str:
    return tag.removeprefix(f"{prefix}.")


def _nobody_waits() -> None:
    """Settle what nobody owes anything for."""
