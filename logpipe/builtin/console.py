"""Prints events for people: to the same place as the log, which `-o` may direct to a file."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any


def write_lines(log: logging.Logger | logging.LoggerAdapter[Any], lines: bytes) -> None:
    """Write UTF-8 text to the stream of `log`, or to standard output where it has none; blocks."""
    for handler in _handlers(log):
        if isinstance(handler, logging.StreamHandler) and handler.stream is not None:
            handler.acquire()
            try:
                _write(handler.stream, lines)
            finally:
                handler.release()
            return
    write_to_stdout(lines)


def write_to_stdout(lines: bytes) -> None:
    """Write UTF-8 text to standard output; blocks."""
    _write(sys.stdout, lines)


def _handlers(log: logging.Logger | logging.LoggerAdapter[Any]) -> Iterator[logging.Handler]:
    logger: logging.Logger | None = log.logger if isinstance(log, logging.LoggerAdapter) else log
    while logger is not None:
        yield from logger.handlers
        logger = logger.parent if logger.propagate else None


def _write(stream: Any, lines: bytes) -> None:
    stream.flush()
    # the stream's encoding may not cover all characters of events
    binary = getattr(stream, "buffer", None)
    if binary is None:
        stream.write(lines.decode("utf-8", "replace"))
    else:
        binary.write(lines)
    stream.flush()
