"""Messages that repeat others: left out where `<system>` says so. Fluentd's log.rb.

`trace_of` writes a stack trace of a third party's error once for each kind.
"""

from __future__ import annotations

import logging
import traceback
from types import TracebackType
from typing import Any, Final
from weakref import WeakKeyDictionary

from logpipe.errors import LogpipeError, UnexpectedExit
from logpipe.printable import in_one_line
from logpipe.registry import ELSEWHERE

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


_OURS: Final = frozenset(distribution.replace("-", "_") for distribution in ELSEWHERE.values())

_told: WeakKeyDictionary[object, set[tuple[type[BaseException], str, int]]] = WeakKeyDictionary()


def trace_of(log: logging.Logger | logging.LoggerAdapter[Any], error: BaseException) -> BaseException | None:
    """Return what a message about a third party's error takes as `exc_info`.

    None for what was raised on purpose or comes from a stage of ours, where a record or a peer is to blame, and for the
    second of a kind (its class and the line that raised it) unless debug messages are written.
    """
    if isinstance(error, UnexpectedExit) and error.__cause__ is not None:
        error = error.__cause__
    elif isinstance(error, LogpipeError):
        return None
    place = _place_in_third_party(error.__traceback__)
    if place is None:
        return None
    told = _told.setdefault(log, set())
    kind = (type(error), *place)
    if kind in told and not log.isEnabledFor(logging.DEBUG):
        return None
    told.add(kind)
    return error


def _place_in_third_party(trace: TracebackType | None) -> tuple[str, int] | None:
    """Return the innermost file and line, if a stack leads into code of others and not by way of a stage of ours."""
    place, is_outside = None, False
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", ""))
        if name.startswith("logpipe.builtin.") or name.partition(".")[0] in _OURS:
            return None
        is_outside = is_outside or not name.startswith(("logpipe.", "asyncio."))
        place = (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        trace = trace.tb_next
    return place if is_outside else None
