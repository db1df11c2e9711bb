"""A host without an engine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from logpipe.config.compat import convert
from logpipe.config.diagnostic import Report
from logpipe.config.element import Element
from logpipe.config.options import FindPlugin, PluginConf
from logpipe.engine.accounting import DROPPED, MADE
from logpipe.engine.running.ledger import Ledger
from logpipe.event import EventBatch, Receipt, Record, Time
from logpipe.metrics import Measurement, Metrics
from logpipe.plugin import Chunk, Clock, Files, Formatter, Monitor, Outlet, Parser, PluginState
from logpipe.plugin.discovery import ServiceDiscovery
from logpipe.registry import Registry
from logpipe.sockets.address import Address
from logpipe.sockets.endpoint import Endpoint, Endpoints
from logpipe.testing.clock import ManualClock
from logpipe.testing.collector import Collector, CollectorOptions


class FakeMonitor:
    """A view of a graph that has no plugins."""

    def plugins(self) -> list[PluginState]:
        """Return none."""
        return []

    def output_of(self, tag: str) -> PluginState | None:
        """Return None."""
        del tag
        return None

    def measurements(self) -> list[Measurement]:
        """Return none."""
        return []

    def ledger(self) -> dict[str, Any]:
        """Return one without lines."""
        return Ledger((), (), (), ()).document()

    def process(self) -> dict[str, Any]:
        """Return nothing."""
        return {}


class FakeHost:
    """A host of every kind, for parsers and formatters, and for constructing anything without an engine."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self.plugin_id = "test"
        self.log: logging.Logger | logging.LoggerAdapter[Any] = logging.getLogger("logpipe_test.fake")
        self.clock: Clock = clock or ManualClock()
        self.hostname = "test-host"
        self.worker_id = 0
        self.workers = 1
        self.files = Files()
        self.root_dir: Path | None = None
        self.is_secondary = False
        self.metrics = Metrics()
        self.emitted: list[EventBatch] = []
        self.forwarded: list[EventBatch] = []
        self.outlets: list[Collector] = []
        self.errors: list[tuple[str, Time, Record, Exception]] = []
        self.claims: set[tuple[str, str]] = set()
        self.tasks: list[asyncio.Task[None]] = []
        self.monitor: Monitor = FakeMonitor()
        self.counter = self.metrics.counter
        self.gauge = self.metrics.gauge
        self.endpoints = Endpoints()

    async def emit(self, batch: EventBatch) -> None:
        """Keep the batch."""
        self.emitted.append(batch)

    async def forward(self, batch: EventBatch) -> None:
        """Keep the batch, as accepted."""
        self.forwarded.append(batch)
        if batch.receipt is not None:
            batch.receipt.release()

    def emitter(self, label: str) -> Callable[[EventBatch], Awaitable[None]]:
        """Return what keeps a batch among those that were emitted."""
        del label
        return self.emit

    def emit_error(
        self, tag: str, time: Time, record: Record, error: Exception, *, receipt: Receipt | None = None
    ) -> None:
        """Keep the event."""
        del receipt
        self.errors.append((tag, time, record, error))

    def dropped(self, count: int) -> None:
        """Count the events."""
        self.counter(*DROPPED).add(count)

    def made(self, count: int) -> None:
        """Count the events."""
        self.counter(*MADE).add(count)

    def claim(self, kind: str, name: str) -> None:
        """Remember what was claimed."""
        self.claims.add((kind, name))

    def endpoint(self, address: Address) -> Endpoint:
        """Declare an endpoint of its own."""
        return self.endpoints.declare(address, self.plugin_id)

    def start_task(self, work: Any, *, name: str) -> None:
        """Run `work` until `cancel_tasks`."""
        self.tasks.append(asyncio.get_running_loop().create_task(work, name=name))

    async def cancel_tasks(self) -> None:
        """End what `start_task` began."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()

    async def in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run in a thread."""
        return await asyncio.to_thread(function, *args)

    def parser(self, conf: PluginConf) -> Parser[Any]:
        """Build a parser."""
        parser: Parser[Any] = conf.plugin_class(conf.options, self)
        return parser

    def formatter(self, conf: PluginConf) -> Formatter[Any]:
        """Build a formatter."""
        formatter: Formatter[Any] = conf.plugin_class(conf.options, self)
        return formatter

    def discovery(self, conf: PluginConf) -> ServiceDiscovery[Any]:
        """Build what finds services."""
        discovery: ServiceDiscovery[Any] = conf.plugin_class(conf.options, self)
        return discovery

    def configured(self, section: Element, report: Report) -> PluginConf | None:
        """Read the section of an output."""
        return found_by(Registry())("output", section.type, section, report)

    def outlet(self, conf: PluginConf) -> Outlet:
        """Return a collector."""
        del conf
        self.outlets.append(Collector(CollectorOptions(), self))
        return self.outlets[-1]

    def expand(self, template: str, chunk: Chunk, *, quote: Callable[[str], str] | None = None) -> str:
        """Return the template as it is."""
        del chunk, quote
        return template

    @property
    def chunk_keys(self) -> tuple[str, ...]:
        """No chunk keys."""
        return ()


def found_by(registry: Registry) -> FindPlugin:
    """Return what reads nested sections of installed plugins."""

    def find(kind: str, type_name: str, nested: Element, report: Report) -> PluginConf | None:
        cls = registry.find(kind, type_name)
        convert(nested, cls.compat, report=report)
        return PluginConf(kind, type_name, cls, cls.options_class.read(nested, report, find=find), nested)

    return find
