"""Keeps the lines of traces until they are complete: fluent-plugin-detect-exceptions 0.0.16, exception_detector.rb."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from logpipe import Clock, EventBatch, Record, Time
from logpipe_community.detect_exceptions.detector import Found, Rules
from logpipe_community.detect_exceptions.options import TraceOptions
from logpipe_community.detect_exceptions.traces import OUTSIDE
from logpipe_community.identity import identity_of
from logpipe_community.joining import Group, Groups, joined, text_of

PATIENCE: Final = 60.0
"""Seconds that a trace waits where nothing says how long. In the original it waits for ever."""

_FIELDS: Final = ("message", "log")


class Trace(Group):
    """The lines of one trace."""

    __slots__ = ("began", "field", "state")

    def __init__(self, tag: str, began: float, field: str) -> None:
        super().__init__(tag)
        self.began = began
        self.field = field
        self.state = OUTSIDE
        """That of the rules, after its last line."""

    def record(self) -> Record:
        """Return the event that it becomes: the first one, with all texts."""
        _, record = self.events[0]
        return record if len(self.texts) == 1 else record | {self.field: joined(self.texts, "")}


class Accumulator:
    """All streams of a stage. Of one that is in no trace nothing is remembered, however many there are.

    Args:
        options: the stage's.
        clock: what time it is.
    """

    def __init__(self, options: TraceOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._rules = Rules([language.lower() for language in options.languages])
        self._fields = (options.message,) if options.message else _FIELDS
        self.open: Groups[Trace] = Groups()

    @property
    def patience(self) -> float:
        """Seconds that a trace waits for its next line."""
        interval = self._options.multiline_flush_interval
        return PATIENCE if interval is None else float(interval)

    def push(self, batch: EventBatch) -> tuple[list[Time], list[Record], list[Trace], list[Trace]]:
        """Return what goes on, in order, the traces among it, and those that are too much to be kept.

        The batch's receipt is held for what is kept.
        """
        times: list[Time] = []
        records: list[Record] = []
        complete: list[Trace] = []
        now = self._clock.monotonic()

        def let_go(stream: Hashable) -> None:
            trace = self.open.take(stream)
            if trace is not None:
                times.append(trace.events[0][0])
                records.append(trace.record())
                complete.append(trace)

        fields = [self._field(record) for record in batch.records]
        texts = [self._text(record, field) for record, field in zip(batch.records, fields, strict=True)]
        begin = self._rules.may_begin([text or "" for text in texts])
        for time, record, field, text, may_begin in zip(batch.times, batch.records, fields, texts, begin, strict=True):
            stream = batch.tag, identity_of(record.get(self._options.stream)) if self._options.stream else None
            trace = self.open.get(stream)
            if trace is not None and (text is None or field != trace.field or self._is_full(trace, text)):
                let_go(stream)
                trace = None
            state, found = OUTSIDE, Found.NOTHING
            if text is not None:
                state, found = self._rules.follow(OUTSIDE if trace is None else trace.state, text, may_begin=may_begin)
            if found in {Found.NOTHING, Found.BEGINS}:
                let_go(stream)
                trace = None
            if found is Found.NOTHING or text is None:
                times.append(time)
                records.append(record)
                continue
            trace = trace or Trace(batch.tag, now, field)
            trace.state = state
            self.open.put(stream, trace, now, self._add(trace, time, record, text))
            if found is Found.ENDS or 0 < self._options.max_lines <= len(trace):
                let_go(stream)
        return times, records, complete, [*self.open.processed(batch.receipt)]

    def old(self) -> list[Trace]:
        """Return traces that have waited for too long; what follows them is not theirs."""
        before = self._clock.monotonic() - self.patience
        return [*self.open.older_than(before, lambda trace: trace.began)]

    def _is_full(self, trace: Trace, text: str) -> bool:
        return 0 < self._options.max_bytes < trace.length + len(text)

    def _add(self, trace: Trace, time: Time, record: Record, text: str) -> int:
        if self._options.force_line_breaks and trace.texts and "\n" not in text:
            text = f"\n{text}"
        trace.length += len(text)
        return trace.add(time, record, text)

    def _field(self, record: Record) -> str:
        """Return the field that holds a record's line; the original keeps to that of a stream's first event."""
        return next((field for field in self._fields if field in record), self._fields[0])

    def _text(self, record: Record, field: str) -> str | None:
        value = record.get(field)
        return text_of(value) if isinstance(value, (str, bytes)) else None
