"""What counts as a failure of a stage, whatever class its exception has."""

from __future__ import annotations

import asyncio

from logpipe.errors import UnexpectedExit


def failure_of(raised: BaseException) -> Exception | None:
    """Return what a stage raised as an error like any other; None where it must be passed on.

    A CancelledError is an order only where somebody has asked this task to stop: a library that cancels a future of
    its own raises the same in whoever awaits it. Nor may `sys.exit` in a stage end the process.
    """
    if isinstance(raised, Exception):
        return raised
    if isinstance(raised, SystemExit):
        return _as_error(raised, f"SystemExit({raised.code!r}) in the middle of the pipeline")
    if isinstance(raised, asyncio.CancelledError) and not _is_asked_to_stop():
        return _as_error(raised, "CancelledError, and nobody has asked this task to stop")
    return None


def _is_asked_to_stop() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        return False
    return task is not None and task.cancelling() > 0


def _as_error(raised: BaseException, message: str) -> Exception:
    text = str(raised) if isinstance(raised, asyncio.CancelledError) else ""
    error = UnexpectedExit(f"{message}: {text}" if text else message)
    error.__cause__ = raised
    return error
