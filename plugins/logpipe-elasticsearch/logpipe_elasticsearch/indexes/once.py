"""Things that are set up before the first documents that need them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Final

from logpipe import DeliveryError, Host
from logpipe_elasticsearch.options.indexes import TemplateOptions

MOST: Final = 10_000
"""Things that are remembered: names may come from events."""


class Once:
    """Does each thing once, unless it fails; then the next chunk that needs it tries again.

    Args:
        options: how often it may fail, and how long it is remembered.
        host: the output's.
    """

    def __init__(self, options: TemplateOptions, host: Host) -> None:
        self._options = options
        self._host = host
        self._done: set[Hashable] = set()
        self._failures: dict[Hashable, int] = {}
        self._began = host.clock.monotonic()
        self._turn = asyncio.Lock()

    async def do(self, what: Hashable, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work`, unless it is done.

        Raises:
            DeliveryError: it fails, and nothing may be sent without it.
        """
        async with self._turn:
            self._forget()
            if what in self._done:
                return
            try:
                await work()
            except DeliveryError as error:
                failures = self._failures[what] = self._failures.get(what, 0) + 1
                options = self._options
                if options.fail_on_putting_template_retry_exceed or failures <= options.max_retry_putting_template:
                    raise
                self._host.log.warning("nothing is set up after %d failures, and events are sent: %s", failures, error)
            self._failures.pop(what, None)
            self._done.add(what)

    def _forget(self) -> None:
        seconds, now = self._options.truncate_caches_interval, self._host.clock.monotonic()
        if len(self._done) + len(self._failures) >= MOST or (seconds is not None and now - self._began >= seconds):
            self._done.clear()
            self._failures.clear()
            self._began = now
