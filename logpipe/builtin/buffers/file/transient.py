"""Retries work that failed for lack of a resource which is freed again, such as file descriptors."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final, TypeVar

from logpipe import Host

T = TypeVar("T")

WAIT: Final = 0.5
"""Seconds between two attempts."""

_TRANSIENT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})


class TransientRetry:
    """Runs blocking work until it no longer fails with a transient error; logs once that it waits."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._waiting = False

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread and return its result.

        Raises:
            OSError: it failed with an error that is not transient.
        """
        while True:
            try:
                result = await self._host.in_thread(work)
            except OSError as error:
                if error.errno not in _TRANSIENT:
                    raise
                if not self._waiting:
                    self._host.log.warning("the buffer waits: %s", error)
                self._waiting = True
            else:
                self._waiting = False
                return result
            await self._host.clock.sleep(WAIT)
