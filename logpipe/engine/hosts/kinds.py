"""The hosts of inputs, filters and outputs: what each kind may do beside what all may."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Generic, TypeVar

from logpipe.config.declare import InvalidSetting
from logpipe.config.diagnostic import Report
from logpipe.config.element import Element
from logpipe.config.options import PluginConf
from logpipe.engine.accounting import (
    DROPPED,
    MADE,
    Edge,
    LinkedOutlet,
    comes_through_error,
    coming_through_error,
    passing_of,
)
from logpipe.engine.buffering.placeholders import expand
from logpipe.engine.hosts.host import PluginHost
from logpipe.engine.routing.router import Router
from logpipe.engine.sizes import size_of
from logpipe.errors import RoutingCircle
from logpipe.event import EventBatch, Receipt, Record, Time
from logpipe.plugin import Chunk, Outlet, Plugin
from logpipe.sockets.address import Address
from logpipe.sockets.endpoint import Endpoint

MOST_HOPS: Final = 2000
"""How many outputs in a row may pass a batch on; more are a circle."""
HOPS_A_TASK: Final = 8
"""After so many a batch goes on in a task of its own: the stack does not grow, and others get a turn."""
LONGEST_TAG: Final = 16384
"""Characters; a circle that doubles the tag needs thirty hops to fill the memory."""

DISCARDED: Final = ("discarded_records", "Events thrown away, as the settings say.")

_hops: Final[ContextVar[int]] = ContextVar("hops", default=0)


class InputPluginHost(PluginHost):
    """Implements `logpipe.InputHost`."""

    emitting = 0
    """Batches that are on their way to the outputs."""
    _edge: Edge | None = None
    """The link to the router; None until it has emitted something."""

    def __init__(self, plugin_id: str, **given: Any) -> None:
        super().__init__(plugin_id, **given)
        self.emitted = self.counter("emitted_records", "Events that it sent on and that were accepted.")

    async def emit(self, batch: EventBatch) -> None:
        """Send a batch into the router that `@label` names."""
        if self.router is None:
            raise RuntimeError(f"{self.kind} {self.plugin_id} has no router to emit to")
        edge = self._edge
        if edge is None:
            edge = self._edge = self._edge_to(self.router)
        await self._emit_to(self.router, edge, batch)

    async def _emit_to(self, router: Router, edge: Edge, batch: EventBatch) -> None:
        count = len(batch.times)
        size = 0 if self.sizes is None else size_of(batch)  # before: filters may change its records
        self.emitting += 1
        edge.given += count
        try:
            await router.emit(batch, edge)
        finally:
            self.emitting -= 1
            self._world.emit_ended.set()
        self.emitted.value += count
        if self.sizes is not None:
            self.sizes.value += size

    def endpoint(self, address: Address) -> Endpoint:
        """Declare where the plugin listens."""
        return self._world.endpoints.declare(address, self.described)

    def _edge_to(self, router: Router) -> Edge:
        return self._world.edges.between(self.title, router.title)

    def emitter(self, label: str) -> Callable[[EventBatch], Awaitable[None]]:
        """Return what sends a batch into a label."""
        router = _label(self._builder.router(label), label)
        return partial(self._emit_to, router, self._edge_to(router))


class FilterPluginHost(PluginHost):
    """Implements `logpipe.FilterHost`."""

    def dropped(self, count: int) -> None:
        """Count what was dropped on purpose."""
        self.counter(*DROPPED).value += count

    def made(self, count: int) -> None:
        """Count what was made of other events."""
        self.counter(*MADE).value += count

    async def forward(self, batch: EventBatch) -> None:
        """Send events that were held back into the rules after the filter."""
        router = self._builder.router(self.label)
        assert router is not None  # noqa: S101 - the filter stands in it
        await router.forward(batch, self)

    def emitter(self, label: str) -> Callable[[EventBatch], Awaitable[None]]:
        """Return what sends events that were held back into a label."""
        router = _label(self._builder.router(label), label)
        home = self._builder.router(self.label)
        assert home is not None  # noqa: S101 - the filter stands in it
        edge, entrance = self._world.edges.between(self.title, router.title), router.entrance(self, home)

        async def send(batch: EventBatch) -> None:
            edge.given += len(batch.times)
            await router.enter(batch, edge, entrance)

        return send


class OutputPluginHost(InputPluginHost):
    """Implements `logpipe.OutputHost`."""

    is_secondary = False
    zone_and_keys: Callable[[], tuple[Any, tuple[str, ...]]] | None = None
    """The time zone and the chunk keys of the `<buffer>`; None for a direct output."""
    passes_to = ""
    """What its class says of itself."""
    emits_unsaid = False
    """Whether `check` cannot expect that it emits anything."""

    def _edge_to(self, router: Router) -> Edge:
        if self.emits_unsaid:
            self.log.warning(
                'it emits events, and its class does not say so: write passes_to = "route", or keeps_tag = False for '
                "events of another tag; report it to its authors"
            )
        return super()._edge_to(router)

    async def _emit_to(self, router: Router, edge: Edge, batch: EventBatch) -> None:
        """Emit what came from another output; a circle of them ends here, and costs no stack on the way."""
        count = len(batch.times)
        hops = _hops.get() + 1
        if hops > MOST_HOPS or len(batch.tag) > LONGEST_TAG:
            reason = f"passed on {hops} times, at last with a tag of {len(batch.tag)} characters"
            error = RoutingCircle(f"{reason}: the routes are a circle; see logpipe check")
            for time, record in batch.events():
                self.emit_error(batch.tag[:LONGEST_TAG], time, record, error, receipt=batch.receipt)
            return
        before = _hops.set(hops)
        try:
            if self.in_error_label and not comes_through_error():
                with coming_through_error():
                    await _give(router, batch, edge)
            elif hops % HOPS_A_TASK:
                await _give(router, batch, edge)
            else:
                # this task lives no longer than the await, and is cancelled with it
                await asyncio.create_task(_give(router, batch, edge))  # noqa: TID251
        finally:
            _hops.reset(before)
        self.emitted.value += count
        self._spoken_for(count)

    def emit_error(
        self, tag: str, time: Time, record: Record, error: Exception, *, receipt: Receipt | None = None
    ) -> None:
        """Hand one bad event to `@ERROR`."""
        super().emit_error(tag, time, record, error, receipt=receipt)
        self._spoken_for(1)

    def _spoken_for(self, count: int) -> None:
        """Take note of what has become of events, of an output that passes on what it takes."""
        if self.passes_to and (mine := passing_of(self)) is not None:
            mine.left -= count

    def configured(self, section: Element, report: Report) -> PluginConf | None:
        """Read the section of an output that the plugin has made."""
        return self._builder.configured(section, report)

    def outlet(self, conf: PluginConf) -> Outlet:
        """Build the output of a `<store>` section."""
        outlet, title = self._builder.nested_outlet(conf, self)
        edge = self._world.edges.between(self.title, title)
        return LinkedOutlet(outlet, edge, self, is_given_all=self.passes_to == "stores")

    def dropped(self, count: int) -> None:
        """Count what was thrown away on purpose."""
        self.counter(*DISCARDED).value += count
        self._spoken_for(count)

    @property
    def chunk_keys(self) -> tuple[str, ...]:
        """The chunk keys of the output's buffer."""
        return () if self.zone_and_keys is None else self.zone_and_keys()[1]

    def expand(self, template: str, chunk: Chunk, *, quote: Callable[[str], str] | None = None) -> str:
        """Fill a template's placeholders from what the chunk's events share."""
        zone, keys = (None, ()) if self.zone_and_keys is None else self.zone_and_keys()
        return expand(template, chunk, zone=zone, keys=keys, log=self.log, quote=quote)


def _label(router: Router | None, label: str) -> Router:
    if router is None:
        raise InvalidSetting(f'label "{label}" is not defined: add <label {label}>', param="label")
    return router


async def _give(router: Router, batch: EventBatch, edge: Edge) -> None:
    """Emit a batch, counting it when that begins: a task that is cancelled before has given nothing."""
    edge.given += len(batch.times)
    await router.emit(batch, edge)


K_co = TypeVar("K_co", bound=PluginHost, covariant=True)


@dataclass(frozen=True, slots=True)
class Stage(Generic[K_co]):
    """A plugin with its host."""

    plugin: Plugin[Any]
    host: K_co


@dataclass(slots=True)
class Stages:
    """Every plugin of a graph, in the order they were built."""

    inputs: list[Stage[InputPluginHost]] = field(default_factory=list)
    filters: list[Stage[FilterPluginHost]] = field(default_factory=list)
    outputs: list[Stage[OutputPluginHost]] = field(default_factory=list)
