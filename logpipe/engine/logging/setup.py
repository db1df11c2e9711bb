"""The log: lines in fluentd's shape, and the same messages as events for `<label @FLUENT_LOG>`."""

from __future__ import annotations

import io
import logging
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import orjson

from logpipe.config.diagnostic import Position, Report, warning
from logpipe.engine.logging.file import LogFile
from logpipe.engine.logging.repeats import SHORTENED, Repeats
from logpipe.printable import format_traceback, in_one_line
from logpipe.time_format import compile_formatter

TRACE: Final = 5
LEVELS: Final = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}
_NAMES: Final = {number: name for name, number in LEVELS.items()}


TIME_FORMAT: Final = "%Y-%m-%d %H:%M:%S %z"


@dataclass(frozen=True, slots=True)
class Traces:
    """How stack traces are written."""

    level: int | None = None
    """Theirs; None for that of their messages."""
    are_written: bool = True

    @classmethod
    def of(cls, forced: str, least: str) -> Self:
        """Return those of `forced_stacktrace_level` in a log of messages from a level on."""
        # compat: log.rb leaves out those below the log's level, whatever their messages have
        forced_level = LEVELS.get(forced)
        return cls() if forced_level is None else cls(forced_level, forced_level >= LEVELS[least])


WITH_MESSAGES: Final = Traces()


def level_name(number: int) -> str:
    """Return fluentd's word for a level."""
    return _NAMES.get(number, "info")


class PluginLog(logging.LoggerAdapter[logging.Logger]):
    """Adds a plugin's id, its section's title and its place in the configuration to each message."""

    def __init__(self, logger: logging.Logger, plugin_id: str, *, section: str, place: Position) -> None:
        super().__init__(logger, {"plugin_id": plugin_id, "section": section, "place": place})

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Attach what the formatter and the event handler read."""
        kwargs["extra"] = {**(self.extra or {}), **kwargs.get("extra", {})}
        return msg, kwargs


class FluentdFormatter(logging.Formatter):
    """`2026-11-23 05:00:00 +0000 [warn]: #0 [out_kafka] message`, with the place in the configuration from warn on.

    Args:
        worker: its number.
        time_format: in Ruby's directives.
        traces: how stack traces are written.
    """

    def __init__(
        self, *, worker: int | None = None, time_format: str = TIME_FORMAT, traces: Traces = WITH_MESSAGES
    ) -> None:
        super().__init__()
        self._worker = worker
        self._time = compile_formatter(time_format)
        self._traces = traces

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, or several where there is a traceback."""
        line = self._line(record, record.levelno, describe(record))
        trace = _trace(record)
        if not trace or not self._traces.are_written:
            return line
        if self._traces.level is None:
            return f"{line}\n{trace}"
        return "\n".join([line, *self._lines_of(record, self._traces.level, trace)])

    def _line(self, record: logging.LogRecord, level: int, text: str) -> str:
        worker = "" if self._worker is None else f"#{self._worker} "
        return f"{self._stamp(record)} [{level_name(level)}]: {worker}{text}"

    def _lines_of(self, record: logging.LogRecord, level: int, trace: str) -> Iterator[str]:
        # compat: log.rb, dump_stacktrace_internal: each line of a trace has time and level, and is moved to the right
        return ("  " + self._line(record, level, text.removeprefix("  ")) for text in trace.splitlines())

    def _stamp(self, record: logging.LogRecord) -> str:
        return self._time(int(record.created * 1_000_000) * 1000)


class JsonFormatter(FluentdFormatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line; a stack trace has one of its own where a level is forced on it."""
        trace = _trace(record) if self._traces.are_written else ""
        if trace and self._traces.level is None:
            return self._line(record, record.levelno, f"{describe(record)}\n{trace}")
        return super().format(record)

    def _line(self, record: logging.LogRecord, level: int, text: str) -> str:
        worker = {} if self._worker is None else {"worker_id": self._worker}
        line = {"time": self._stamp(record), "level": level_name(level), "message": text, **worker}
        return orjson.dumps(line).decode()

    def _lines_of(self, record: logging.LogRecord, level: int, trace: str) -> Iterator[str]:
        yield self._line(record, level, trace)


def describe(record: logging.LogRecord) -> str:
    """Return a message with its plugin and its place as one line."""
    plugin_id, place = getattr(record, "plugin_id", None), getattr(record, "place", None)
    text = record.getMessage()
    if plugin_id:
        text = f"[{plugin_id}] {text}"
    if place and record.levelno >= logging.WARNING:
        text = f"{text} config={place}"
    return in_one_line(text)


def _trace(record: logging.LogRecord) -> str:
    """Return a message's stack trace in lines of its own; "" where it has none."""
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    return getattr(record, SHORTENED, None) or format_traceback(record.exc_info[1])


def set_up(
    *,
    level: str,
    file: LogFile | None = None,
    repeats: Repeats | None = None,
    shape: Literal["text", "json"] = "text",
    time_format: str = TIME_FORMAT,
    worker: int | None = None,
    forced_traces: str = "",
) -> logging.Logger:
    """Point the log at a file, or at standard output as fluentd does; returns the root of logpipe's loggers.

    `forced_traces` is the level of stack traces; what is none leaves them that of their messages.
    """
    logger = logging.getLogger("logpipe")
    handler: logging.Handler
    if file is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a locale's encoding may be less than UTF-8
        handler = logging.StreamHandler(sys.stdout)
    else:
        handler = file
    handler.addFilter(repeats or Repeats())
    make = JsonFormatter if shape == "json" else FluentdFormatter
    handler.setFormatter(make(worker=worker, time_format=time_format, traces=Traces.of(forced_traces, level)))
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    logger.addHandler(handler)
    logger.setLevel(LEVELS[level])
    logger.propagate = False
    logging.addLevelName(TRACE, "TRACE")
    return logger


def reopen(logger: logging.Logger) -> None:
    """Go on in the file of the log's name, where another program has renamed the one that was opened."""
    for handler in logger.handlers:
        if isinstance(handler, LogFile):
            try:
                handler.reopen()
            except OSError as problem:
                logger.warning("the log stays in the file that is open: %s", problem)


class LogDiagnostics(logging.Handler):
    """Reports warnings as diagnostics: what plugins say about their settings while they are constructed.

    `place` is that of what no plugin says.
    """

    def __init__(self, report: Report, place: Position) -> None:
        super().__init__(logging.WARNING)
        self._report = report
        self._place = place

    def emit(self, record: logging.LogRecord) -> None:
        """Report one message."""
        section = getattr(record, "section", "")
        message = f"{section}: {record.getMessage()}" if section else record.getMessage()
        self._report(warning("plugin-warning", message, getattr(record, "place", self._place)))


OWN_TAGS: Final = "fluent."
"""What the tags of our own log events begin with."""

_quiet: Final[ContextVar[bool]] = ContextVar("quiet", default=False)


@contextmanager
def no_events() -> Iterator[None]:
    """Keep what is logged in this block from becoming events.

    A message about a log event would be one more log event, which would fail in the same place, and quote the first.
    """
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


class LogEvents(logging.Handler):
    """Keeps messages as events `fluent.LEVEL`, for the graph to route; the oldest go when nobody takes them."""

    def __init__(self, *, most: int = 1000) -> None:
        super().__init__()
        self.events: deque[tuple[str, int, Mapping[str, Any]]] = deque(maxlen=most)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message."""
        if _quiet.get():
            return
        fields: dict[str, Any] = {"message": record.getMessage()}
        if plugin_id := getattr(record, "plugin_id", None):
            fields["plugin_id"] = plugin_id
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = repr(record.exc_info[1])
        self.events.append((f"fluent.{level_name(record.levelno)}", time.time_ns(), fields))
