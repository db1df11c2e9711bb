"""Waits where the process has run out of something that others give back, descriptors above all."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final, TypeVar

from logpipe import Host

T = TypeVar("T")

WAIT: Final = 0.5
"""Seconds before another try."""

_PASSING: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})


class Patience:
    """Runs blocking work until it does not fail for a passing reason; says once that it waits."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._waiting = False

    async def run(self, work: Callable[[], T]) -> T:
        """Return what `work`, run in a thread, returns.

        Raises:
            OSError: it failed for another reason.
        """
        while True:
            try:
                result = await self._host.in_thread(work)
            except OSError as error:
                if error.errno not in _PASSING:
                    raise
                if not self._waiting:
                    self._host.log.warning("the buffer waits: %s", error)
                self._waiting = True
            else:
                self._waiting = False
                return result
            await self._host.clock.sleep(WAIT)
