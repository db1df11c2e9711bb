"""Tries the peers of a graph that does not run, for `logpipe check --connect`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from logpipe.config.diagnostic import Position
from logpipe.config.secrets import masked_urls
from logpipe.engine.hosts.kinds import OutputPluginHost, Stage
from logpipe.engine.running.graph import Graph
from logpipe.plugin import Output, Peer
from logpipe.plugin.failures import failure_of
from logpipe.printable import in_one_line

SECONDS: Final = 10.0
"""For one peer, and for an output to say which it has."""
AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one peer."""

    section: str
    place: Position
    peer: str
    """"" where nothing says who it is."""
    said: str
    """What the peer says of itself, or why it would be refused."""
    is_refused: bool = False


async def try_peers(graph: Graph) -> list[Tried]:
    """Return what came of each peer, in the order of the configuration; nothing of the graph is started."""
    found: list[list[Tried]] = []
    turn = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as group:
        graph.world.group = group
        try:
            found += [await _of(stage, turn, SECONDS) for stage in graph.stages.outputs]
        finally:
            for stage in graph.stages.outputs:
                with suppress(Exception):  # it was not started, and there is nothing to lose
                    await stage.plugin.stop()
                await stage.host.cancel_tasks()
            graph.world.group = None
    graph.world.threads.shutdown(wait=False, cancel_futures=True)
    return [each for of_one in found for each in of_one]


async def _of(stage: Stage[OutputPluginHost], turn: asyncio.Semaphore, seconds: float) -> list[Tried]:
    output = stage.plugin
    assert isinstance(output, Output)  # noqa: S101 - the builder put only outputs there
    extra: dict[str, Any] = dict(getattr(stage.host.log, "extra", None) or {})
    section, place = str(extra.get("section", stage.host.plugin_id)), extra.get("place", Position(""))
    try:
        async with asyncio.timeout(seconds):
            peers: Iterable[Peer] = await output.peers()
    except Exception as problem:  # noqa: BLE001 - whatever a stage raises says why
        return [Tried(section, place, "", _reason(problem, seconds), is_refused=True)]
    return list(await asyncio.gather(*(_one(section, place, peer, turn, seconds) for peer in peers)))


async def _one(section: str, place: Position, peer: Peer, turn: asyncio.Semaphore, seconds: float) -> Tried:
    name = in_one_line(masked_urls(peer.name))
    async with turn:
        try:
            async with asyncio.timeout(seconds):
                said = await peer.attempt()
        except Exception as problem:  # noqa: BLE001 - the same
            return Tried(section, place, name, _reason(problem, seconds), is_refused=True)
    return Tried(section, place, name, in_one_line(masked_urls(said)))


def _reason(problem: Exception, seconds: float) -> str:
    error = failure_of(problem) or problem
    text = str(error) or (f"no answer within {seconds:g} seconds" if isinstance(error, TimeoutError) else repr(error))
    return in_one_line(masked_urls(text))
