"""Messages that repeat others: left out where `<system>` says so. Fluentd's log.rb."""

from __future__ import annotations

import logging
import traceback
from typing import Final

from logpipe.printable import in_one_line

EMIT_FAILED: Final = "emit transaction failed"
"""what router.py begins such a message with."""
SHORTENED: Final = "shortened_trace"
"""The attribute of a record with what is written in the place of its stack trace."""
_MOST: Final = 1000
# compat: log.rb, IGNORE_SAME_LOG_MAX_CACHE_SIZE


class Repeats(logging.Filter):
    """Refuses what repeats; the handlers of one log share it, and each message is judged once.

    Args:
        same: seconds in which a message is written once, whatever comes between.
        repeated: seconds in which a message that repeats the one before is left out; without effect beside `same`.
        stack_traces: whether a stack trace that repeats the last one is left out of its message.
    """

    def __init__(
        self,
        *,
        same: float | None = None,
        repeated: float | None = None,
        emit_errors: float | None = None,
        stack_traces: bool = False,
    ) -> None:
        super().__init__()
        self._same = same
        self._repeated = repeated
        self._emit_errors = emit_errors
        self._next_emit_error = 0.0
        self._stack_traces = stack_traces
        self._seen: dict[str, float] = {}
        self._last = ("", 0.0)
        self._last_trace: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a message is to be written."""
        verdict: bool | None = getattr(record, "is_new", None)
        if verdict is None:
            verdict = record.is_new = self._is_new(record)
            if verdict and self._stack_traces and record.exc_info and record.exc_info[1] is not None:
                self._shorten(record, record.exc_info[1])
        return verdict

    def _is_new(self, record: logging.LogRecord) -> bool:
        if self._emit_errors is not None and str(record.msg).startswith(EMIT_FAILED):
            # compat: root_agent.rb, handle_emits_error: one interval for all plugins
            if record.created <= self._next_emit_error:
                return False
            self._next_emit_error = record.created + self._emit_errors
        if self._same is None and self._repeated is None:
            return True
        text, now = f"{getattr(record, 'plugin_id', '')} {record.getMessage()}", record.created
        if self._same is not None:
            return self._is_first(text, now, self._same)
        before, at = self._last
        if text == before and now - at <= (self._repeated or 0.0):
            return False
        self._last = (text, now)
        return True

    def _is_first(self, text: str, now: float, interval: float) -> bool:
        at = self._seen.get(text)
        if at is not None and now - at <= interval:
            return False
        if at is None and len(self._seen) >= _MOST:
            self._seen = {seen: at for seen, at in self._seen.items() if now - at <= interval}
            if len(self._seen) >= _MOST:
                self._seen.clear()
        self._seen[text] = now
        return True

    def _shorten(self, record: logging.LogRecord, error: BaseException) -> None:
        trace = traceback.format_tb(error.__traceback__)
        if trace == self._last_trace:
            setattr(record, SHORTENED, in_one_line(f"  suppressed same stacktrace: {type(error).__name__}: {error}"))
        self._last_trace = trace
