"""Where an error comes from, for whoever has written the stage: a stack trace, once for each kind."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Any, Final
from weakref import WeakKeyDictionary

from logpipe.errors import LogpipeError, UnexpectedExit

_OURS: Final = frozenset({"logpipe_kafka", "logpipe_kubernetes"})

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
