"""A plugin that cannot start is named with its place, the reason, and what to do."""

from __future__ import annotations

import errno
from collections.abc import Awaitable
from typing import Final

from logpipe.errors import LogpipeError
from logpipe.plugin import Host
from logpipe.plugin.failures import failure_of
from logpipe.registry import innermost_place, reason

_HINTS: Final = {
    errno.EADDRINUSE: ": stop what uses it, or give another port",
    errno.EACCES: ": let the user that logpipe runs as do it, or give another",
    errno.EADDRNOTAVAIL: ": give an address of this machine",
}


class StartError(LogpipeError):
    """A plugin could not start. `is_expected` tells a reason in the world from a mistake in the plugin."""

    def __init__(self, message: str, *, is_expected: bool = True) -> None:
        super().__init__(message)
        self.is_expected = is_expected


async def started(starting: Awaitable[None], host: Host) -> None:
    """Wait until a plugin has started.

    Raises:
        StartError: it could not; what it raised is the cause.
    """
    extra = getattr(host.log, "extra", None) or {}
    who = f"{extra['section']} at {extra['place']}" if "section" in extra else host.plugin_id
    try:
        await starting
    except LogpipeError as problem:
        raise StartError(f"{who}: {problem}") from problem
    except OSError as problem:
        said = problem.strerror or str(problem)
        said = f"{problem.filename}: {said}" if problem.filename else said
        raise StartError(f"{who}: {said}{_HINTS.get(problem.errno or 0, '')}") from problem
    except BaseException as raised:
        error = failure_of(raised)
        if error is None:
            raise
        said = f"{who}: the plugin failed: {reason(error)} ({innermost_place(raised)})"
        raise StartError(said, is_expected=False) from raised
