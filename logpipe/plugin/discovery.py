"""What finds the peers of an output: plugins of `<service_discovery>` sections, and what follows several of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from logpipe.plugin.host import Host
from logpipe.plugin.service import Discovery, Service
from logpipe.plugin.stages import O, Plugin

FIRST_PAUSE: Final = 1.0
"""Seconds until a look is tried again that has failed; twice as many after each further one."""
LONGEST_PAUSE: Final = 60.0
MOST_SERVICES: Final = 4096
"""Of one section; what is more than that is left out, and said."""


class ServiceDiscovery(Plugin[O]):
    """Finds services. It belongs to an output, which starts and stops it, and shares its host."""

    kind = "service_discovery"
    _one_of = ("find",)

    async def find(self) -> Sequence[Service]:
        """Return who is there now.

        Called once after `start`, and each time `changed` has returned. After an exception those that were found last
        stay, and it is called again soon.
        """
        raise NotImplementedError

    async def changed(self) -> None:
        """Return when it is time to look again; the default never does. It is cancelled at a stop."""
        await asyncio.get_running_loop().create_future()


class Services:
    """Those that several discoveries find, together and without doubles, kept up to date.

    Args:
        discoveries: as `host.discovery` makes them.
        host: the owner's.
        changed: called with all of them at the start, and when they have changed.
    """

    def __init__(
        self, discoveries: Sequence[Discovery], host: Host, changed: Callable[[Sequence[Service]], None]
    ) -> None:
        self._discoveries = discoveries
        self._host = host
        self._changed = changed
        self._found: list[Sequence[Service]] = [()] * len(discoveries)

    async def start(self) -> None:
        """Look for the first time, and begin to follow what changes.

        Raises:
            Exception: a discovery cannot start; what cannot be found now is logged, and looked for again.
        """
        for each in self._discoveries:
            await each.start()
        failed = [not await self._look(number) for number in range(len(self._discoveries))]
        self._tell()
        for number, has_failed in enumerate(failed):
            self._host.start_task(self._follow(number, has_failed=has_failed), name="service discovery")

    async def stop(self) -> None:
        """Let go of the discoveries."""
        for each in self._discoveries:
            await each.stop()

    async def _follow(self, number: int, *, has_failed: bool) -> None:
        failures = int(has_failed)
        while True:
            pause = min(FIRST_PAUSE * 2 ** min(failures - 1, 10), LONGEST_PAUSE) if failures else None
            with suppress(TimeoutError):
                async with self._host.clock.timeout(pause):
                    await self._discoveries[number].changed()
            before = self._found[number]
            failures = 0 if await self._look(number) else failures + 1
            if self._found[number] != before:
                self._tell()

    async def _look(self, number: int) -> bool:
        """Look once; returns whether that went well."""
        discovery = self._discoveries[number]
        try:
            found = list(dict.fromkeys(await discovery.find()))
        except Exception as problem:  # noqa: BLE001 - whatever it is, those that are known go on being used
            self._host.log.error(  # noqa: TRY400 - the message says it
                "service discovery: %s; those that were found last are used", problem
            )
            return False
        if len(found) > MOST_SERVICES:
            self._host.log.error("service discovery: %d services; the first %d are used", len(found), MOST_SERVICES)
        self._found[number] = found[:MOST_SERVICES]
        return True

    def _tell(self) -> None:
        self._changed(list(dict.fromkeys(service for found in self._found for service in found)))
