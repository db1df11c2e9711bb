"""What a worker is doing, for its log: SIGCONT asks for it, as for fluentd's sigdump."""

from __future__ import annotations

import asyncio
import logging

from logpipe.engine.graph import Graph


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
        frames = task.get_stack()
        places = " < ".join(f"{frame.f_code.co_qualname}:{frame.f_lineno}" for frame in reversed(frames[-3:]))
        log.info("state: task %s: %s", task.get_name(), places or "not begun")
