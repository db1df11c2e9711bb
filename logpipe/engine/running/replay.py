"""Sends dead letters on their way again, in a graph that runs beside the engine's: without sources, buffers in memory.

What an output could not take goes to that output; what a filter or an input could not handle, to the label that it
stands in, past all of its filters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, islice

from logpipe.engine.dead_letters.letters import Culprit, Letter
from logpipe.engine.delivery.outlet import BufferedOutlet
from logpipe.engine.running.graph import Graph
from logpipe.errors import LogpipeError
from logpipe.event import EventBatch, Receipt
from logpipe.plugin import ChunkKey

MOST_IN_BATCH = 1000


class NoWayError(LogpipeError):
    """The configuration has no place for a letter."""


@dataclass(slots=True)
class Replayed:
    """How it went."""

    sent: int = 0
    failed_again: int = 0
    """Became dead letters anew."""
    routes: dict[str, int] = field(default_factory=dict)
    """Letters by where they went: the id of an output, or the name of a label."""


class Replay:
    """Letters on their way through a running graph.

    Args:
        graph: a running one.
        to: the id of an output, or a label's name, for letters that do not say where they belong or that belong
            elsewhere now; "" for what they say.
    """

    def __init__(self, graph: Graph, *, to: str = "") -> None:
        self._graph = graph
        self._to = to
        self.result = Replayed()

    async def send(self, letters: Iterable[Letter]) -> None:
        """Return when each of the letters is delivered, or has become a dead letter again.

        Raises:
            NoWayError: the configuration has no place for one of them.
        """
        delivered = asyncio.Event()
        receipt = Receipt(delivered.set)
        failed = _failures(self._graph)
        for target, same in groupby(letters, key=lambda letter: target_of(letter, self._graph, self._to)):
            for some in _portions(same):
                await self._emit(target, some, receipt)
                self.result.routes[target] = self.result.routes.get(target, 0) + len(some)
                self.result.sent += len(some)
        receipt.release()
        while not delivered.is_set():
            self._graph.flush()
            await asyncio.sleep(0.05)
        self.result.failed_again += _failures(self._graph) - failed

    async def _emit(self, target: str, letters: list[Letter], receipt: Receipt) -> None:
        first = letters[0]
        outlet = self._graph.outlets_by_id.get(target)
        if first.payload is not None:
            if not isinstance(outlet, BufferedOutlet):
                raise NoWayError(f"{target} takes no payloads: they were encoded for {first.culprit.plugin_id}")
            payloads = [letter.payload or b"" for letter in letters]
            await outlet.staging.process_payloads(first.key or ChunkKey(tag=first.tag), payloads, receipt)
            return
        batch = EventBatch(
            first.tag or "", [letter.time for letter in letters], [letter.record or {} for letter in letters], receipt
        )
        if outlet is not None:
            await outlet.process(batch)
            return
        router = self._graph.routers[target]
        if router.destination(batch.tag) is None:  # what nobody takes would be gone
            raise NoWayError(f"no <match> of {target} takes the tag {batch.tag!r}: say another with --tag, or --to")
        await router.emit(batch)


def target_of(letter: Letter, graph: Graph, to: str = "") -> str:
    """Return the id of the output, or the name of the label, that a letter goes to.

    Raises:
        NoWayError: the configuration has no such thing.
    """
    culprit = letter.culprit
    if to:
        if to not in graph.outlets_by_id and to not in graph.routers:
            raise NoWayError(f"{to} is no output and no label here; there are {_places(graph)}")
        return to
    if culprit.kind == "output" and _is_same(graph, culprit):
        return culprit.plugin_id
    if (culprit.kind != "output" or letter.payload is None) and culprit.label in graph.routers:
        return culprit.label
    output = f"{culprit.plugin_id} ({culprit.type or 'an output'})"
    where = output if culprit.kind == "output" else f"label {culprit.label}"
    raise NoWayError(f"the configuration has no {where}: say with --to where it belongs now: {_places(graph)}")


def _failures(graph: Graph) -> int:
    """Return how many events have become dead letters."""
    given_up = sum(each.saved.value + each.thrown_away.value for each in (outlet.giving_up for outlet in graph.outlets))
    return graph.world.dead_letters.count.value + given_up


def _is_same(graph: Graph, culprit: Culprit) -> bool:
    """Return whether the output of that id is still one of that type."""
    if culprit.plugin_id not in graph.outlets_by_id:
        return False
    hosts = (stage.host for stage in graph.stages.outputs)
    types = {host.type_name for host in hosts if host.plugin_id == culprit.plugin_id}
    return not culprit.type or culprit.type in types  # fluentd's backups name no type


def _places(graph: Graph) -> str:
    return ", ".join([*graph.outlets_by_id, *graph.routers])


def _portions(letters: Iterator[Letter]) -> Iterator[list[Letter]]:
    """Divide letters into batches: what shares a tag, or a chunk's key."""

    def kind(letter: Letter) -> tuple[str | None, bool, ChunkKey | None]:
        encoded = letter.payload is not None
        return letter.tag, encoded, letter.key if encoded else None

    for _, same in groupby(letters, key=kind):
        while some := list(islice(same, MOST_IN_BATCH)):
            yield some


async def run_beside(graph: Graph, work: Callable[[], Awaitable[None]]) -> None:
    """Run a graph for as long as `work` takes.

    Raises:
        Exception: what `work` raises.
    """
    async with asyncio.TaskGroup() as group:
        running = group.create_task(graph.run(), name="graph")
        started = group.create_task(graph.started.wait(), name="started")
        await asyncio.wait((running, started), return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        try:
            if not running.done():
                await work()
        finally:
            graph.request_stop()
