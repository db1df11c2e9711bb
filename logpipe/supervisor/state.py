"""What a worker is at, for its log: SIGCONT."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

from logpipe.engine.running.graph import Graph


def log_state(graph: Graph, log: logging.Logger) -> None:
    """Write each output's buffer, then each task with the place it waits at, a line each."""
    for outlet in graph.outlets:
        staging = outlet.staging
        log.info(
            "state: buffer of %s: bytes=%d queued_chunks=%d is_empty=%s",
            outlet.host.plugin_id,
            staging.size,
            len(staging.queue),
            staging.is_empty,
        )
    for task in sorted(asyncio.all_tasks(), key=asyncio.Task.get_name):
        log.info("state: task %s: %s", task.get_name(), " > ".join(_places(task.get_coro())))


def _places(waiting: Any) -> Iterator[str]:
    """Yield the functions at which a coroutine is suspended, the innermost last, with the line in each."""
    while (frame := getattr(waiting, "cr_frame", None)) is not None:
        yield f"{frame.f_code.co_qualname}:{frame.f_lineno}"
        waiting = waiting.cr_await
