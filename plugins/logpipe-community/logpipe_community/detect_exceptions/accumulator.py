"""Keeps the lines of traces until they are complete: fluent-plugin-detect-exceptions 0.0.16, exception_detector.rb."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Final

from logpipe import Clock, EventBatch, Record, Time
from logpipe.ruby import TimeLimitExceeded, to_s
from logpipe_community.detect_exceptions.detector import Detector, Found, Rules
from logpipe_community.detect_exceptions.options import TraceOptions
from logpipe_community.joining import COSTS, Group, Groups, joined, size_of, text_of

MOST_STREAMS: Final = 10_000
"""Streams that are known; one more makes the oldest begin anew."""
PATIENCE: Final = 60.0
"""Seconds that a trace waits where nothing says how long. In the original it waits for ever."""

_FIELDS: Final = ("message", "log")


class Trace(Group):
    """The lines of one trace."""

    __slots__ = ("began", "field")

    def __init__(self, tag: str, began: float, field: str) -> None:
        super().__init__(tag)
        self.began = began
        self.field = field

    def record(self) -> Record:
        """Return the event that it becomes: the first one, with all texts."""
        _, record = self.events[0]
        return record if len(self.texts) == 1 else record | {self.field: joined(self.texts, "")}


class Accumulator:
    """All streams of a stage.

    Args:
        options: the stage's.
        clock: what time it is.
        is_full: told how many traces go on because too much is held.
    """

    def __init__(self, options: TraceOptions, clock: Clock, is_full: Callable[[int], None]) -> None:
        self._options = options
        self._clock = clock
        self._is_full = is_full
        self._rules = Rules([language.lower() for language in options.languages])
        self._detectors: dict[Hashable, Detector] = {}
        self._field: str | None = options.message or None
        self.open: Groups[Trace] = Groups()

    @property
    def patience(self) -> float:
        """Seconds that a trace waits for its next line."""
        interval = self._options.multiline_flush_interval
        return PATIENCE if interval is None else float(interval)

    def push(self, batch: EventBatch) -> tuple[list[Time], list[Record], list[Trace]]:
        """Return what goes on, in order, and the traces among it; hold the batch's receipt for what is kept."""
        times: list[Time] = []
        records: list[Record] = []
        complete: list[Trace] = []
        now = self._clock.monotonic()

        def let_go(trace: Trace | None) -> None:
            if trace is not None:
                times.append(trace.events[0][0])
                records.append(trace.record())
                complete.append(trace)

        texts = [self._text(record) for record in batch.records]
        begin = self._rules.may_begin([text or "" for text in texts])
        for time, record, text, may_begin in zip(batch.times, batch.records, texts, begin, strict=True):
            stream = batch.tag, to_s(record.get(self._options.stream)) if self._options.stream else None
            detector = self._detector(stream)
            found = Found.NOTHING
            most = self._options.max_bytes
            if text is None:
                detector.state = ""
            else:
                trace = self.open.get(stream)
                if most > 0 and (0 if trace is None else sum(map(len, trace.texts))) + len(text) > most:
                    let_go(self.open.take(stream))
                    detector.state = ""
                found = _updated(detector, text, may_begin=may_begin)
            if found in {Found.NOTHING, Found.BEGINS}:
                let_go(self.open.take(stream))
            if found is Found.NOTHING or text is None:
                times.append(time)
                records.append(record)
                continue
            trace = self.open.get(stream) or Trace(batch.tag, now, self._field or "")
            self._add(trace, time, record, text)
            self.open.put(stream, trace, now, trace.size if len(trace) == 1 else size_of(record) + COSTS)
            if found is Found.ENDS:
                let_go(self.open.take(stream))
            elif 0 < self._options.max_lines <= len(trace):
                let_go(self.open.take(stream))
                detector.state = ""
        self.open.owe(batch.receipt)
        return times, records, complete

    def too_many(self) -> list[Trace]:
        """Return traces that are too much to be kept."""
        traces = list(self.open.too_many())
        if traces:
            self._is_full(len(traces))
        return self._given_up(traces)

    def old(self) -> list[Trace]:
        """Return traces that have waited for too long."""
        before = self._clock.monotonic() - self.patience
        return self._given_up(self.open.older_than(before, lambda trace: trace.began))

    def all(self) -> list[Trace]:
        """Return every trace."""
        return self._given_up(self.open.all())

    def _given_up(self, traces: Iterator[Trace] | list[Trace]) -> list[Trace]:
        """Return traces that are not complete; what follows them is not theirs."""
        given_up = list(traces)
        if given_up:
            kept = {stream: each for stream, each in self._detectors.items() if self.open.get(stream) is not None}
            self._detectors = kept
        return given_up

    def _add(self, trace: Trace, time: Time, record: Record, text: str) -> None:
        if self._options.force_line_breaks and trace.texts and "\n" not in text:
            text = f"\n{text}"
        trace.add(time, record, text, size_of(record) + COSTS)

    def _detector(self, stream: Hashable) -> Detector:
        detector = self._detectors.get(stream)
        if detector is None:
            while len(self._detectors) >= MOST_STREAMS:
                del self._detectors[next(iter(self._detectors))]
            detector = self._detectors[stream] = Detector(self._rules)
        return detector

    def _text(self, record: Record) -> str | None:
        if self._field is None:
            self._field = next((field for field in _FIELDS if field in record), None)
        value = None if self._field is None else record.get(self._field)
        return text_of(value) if isinstance(value, (str, bytes)) else None


def _updated(detector: Detector, text: str, *, may_begin: bool) -> Found:
    try:
        return detector.update(text, may_begin=may_begin)
    except TimeLimitExceeded:
        detector.state = ""
        return Found.NOTHING
