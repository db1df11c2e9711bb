"""What is left is delivered before a worker stops: round after round, until nothing moves any more.

What filters let go of goes into buffers, what outputs refuse comes to `@ERROR` and from there into other buffers, and
inputs that only read nothing new may still be emitting. So each is drained again for as long as another brings events.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final, TypeAlias

from logpipe.engine.accounting import TAKEN
from logpipe.engine.delivery.outlet import BufferedOutlet
from logpipe.engine.hosts.host import World
from logpipe.engine.hosts.kinds import Stages
from logpipe.plugin import FilterBase, Input, Output
from logpipe.plugin.failures import failure_of

TURN: Final = 0.1
"""Seconds that drains are waited for before others are begun: they may wait for room that those make."""

PATIENCE: Final = 1.0
"""Seconds that inputs' batches on their way are waited for while nothing moves: an output may never take them."""

Log: TypeAlias = logging.Logger | logging.LoggerAdapter[Any]
Work: TypeAlias = tuple[object, Log, Callable[[], Coroutine[Any, Any, None]]]
"""Whose drain it is, what is told of its failure, and the drain."""


class Draining:
    """Delivers what is left; whoever runs it sets the deadline.

    Args:
        stages: all plugins.
        outlets: all buffers; more may come.
        world: the graph's.
        log: told that inputs read no more.
    """

    def __init__(self, stages: Stages, outlets: list[BufferedOutlet], world: World, log: logging.Logger) -> None:
        self._stages = stages
        self._outlets = outlets
        self._world = world
        self._log = log
        self._begun: dict[object, asyncio.Task[bool]] = {}
        self._flushed: dict[object, int] = {}
        """How many events each output had taken when it was told to flush."""

    async def quiesce(self) -> None:
        """Have inputs read nothing new."""
        for stage in self._stages.inputs:
            host, plugin = stage.host, stage.plugin
            self._log.info("shutting down input plugin type=%s plugin_id=%r", host.type_name, host.plugin_id)
            assert isinstance(plugin, Input)  # noqa: S101 - the builder put only inputs there
            goes_on = type(plugin).quiesce is not Input.quiesce and await _is_done(plugin.quiesce(), host.log)
            if not goes_on:
                await host.stop_running()

    async def run(self) -> None:
        """Make rounds until a whole one has moved nothing, and nothing is on its way that can move."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            patient_until = loop.time() + PATIENCE
            while True:
                before = self._moved
                await self._turn(group, self._filters_and_letters())
                await self._turn(group, self._outputs())
                if self._moved != before:
                    patient_until = loop.time() + PATIENCE
                elif all(task.done() for task in self._begun.values()) and not await self._is_emitting(patient_until):
                    return

    @property
    def _moved(self) -> int:
        """How many events have come anywhere, so far."""
        return sum(edge.taken for edge in self._world.edges) + self._world.dead_letters.count.value

    async def _turn(self, group: asyncio.TaskGroup, works: Iterable[Work]) -> None:
        """Begin what is not going on yet, and wait for a moment until it is done."""
        tasks = []
        for key, log, work in works:
            if key not in self._begun or self._begun[key].done():
                self._begun[key] = group.create_task(_is_done(work(), log), name="drain")
            tasks.append(self._begun[key])
        if tasks:
            await asyncio.wait(tasks, timeout=TURN)

    def _filters_and_letters(self) -> Iterator[Work]:
        for stage in self._stages.filters:
            if isinstance(stage.plugin, FilterBase) and stage.plugin.holds_back():
                yield stage.plugin, stage.host.log, stage.plugin.drain
        yield self._world.dead_letters, self._log, self._world.dead_letters.settle

    def _outputs(self) -> Iterator[Work]:
        yield from ((outlet, outlet.host.log, outlet.drain) for outlet in self._outlets)
        for stage in self._stages.outputs:
            taken = stage.host.counter(*TAKEN).value
            if isinstance(stage.plugin, Output) and self._flushed.get(stage.plugin) != taken:
                self._flushed[stage.plugin] = taken
                yield stage.plugin, stage.host.log, stage.plugin.flush

    async def _is_emitting(self, until: float) -> bool:
        """Return whether batches of inputs are on their way, and may be for so long; wait a moment for their end."""
        if not any(stage.host.emitting for stage in self._stages.inputs) or asyncio.get_running_loop().time() >= until:
            return False
        self._world.emit_ended.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(TURN):
                await self._world.emit_ended.wait()
        return True


async def _is_done(work: Coroutine[Any, Any, None], log: Log) -> bool:
    """Return whether it came without an error: one plugin's trouble must not keep the others from delivering."""
    try:
        await work
    except BaseException as raised:
        error = failure_of(raised)
        if error is None:
            raise
        log.exception("unexpected error while delivering what is left", exc_info=error)
        return False
    return True
