"""The host of one plugin: what the engine lends it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from logpipe.config.declare import InvalidSetting
from logpipe.config.element import Element
from logpipe.config.options import PluginConf
from logpipe.engine.dead_letters import DeadLetterQueue, comes_through_error, coming_through_error
from logpipe.engine.edges import Edge, Edges, LinkedOutlet, Taker
from logpipe.engine.letters import Culprit
from logpipe.engine.placeholders import expand
from logpipe.engine.router import DROPPED, ERRORS, MADE, Router
from logpipe.errors import RoutingCircle
from logpipe.event import EventBatch, Receipt, Record, Time
from logpipe.metrics import Counter, Metrics
from logpipe.plugin import Chunk, Clock, Files, Formatter, Monitor, Outlet, Parser
from logpipe.plugin.failures import failure_of

T = TypeVar("T")

MOST_HOPS: Final = 2000
"""How many outputs in a row may pass a batch on; more are a circle."""
HOPS_A_TASK: Final = 8
"""After so many a batch goes on in a task of its own: the stack does not grow, and others get a turn."""
LONGEST_TAG: Final = 16384
"""Characters; a circle that doubles the tag needs thirty hops to fill the memory."""

DISCARDED: Final = ("discarded_records", "Events thrown away, as the settings say.")

_hops: Final[ContextVar[int]] = ContextVar("hops", default=0)


class Builder(Protocol):
    """Builds the outputs that outputs hold."""

    def nested_outlet(self, conf: PluginConf, parent: PluginHost) -> tuple[Taker, str]:
        """Build a `<store>`'s output with its buffer, and say how links call it."""
        ...

    def router(self, label: str) -> Router | None:
        """Return a label's router, None where there is no such label."""
        ...


@dataclass(slots=True)
class World:
    """What all plugins of a worker share."""

    clock: Clock
    dead_letters: DeadLetterQueue
    threads: ThreadPoolExecutor
    hostname: str
    worker_id: int
    root_dir: Path | None
    workers: int = 1
    files: Files = field(default_factory=Files)
    config_path: str = ""
    """The configuration's file, absolute; empty where it has none."""
    claims: dict[tuple[str, str], PluginHost] = field(default_factory=dict)
    edges: Edges = field(default_factory=Edges)
    group: asyncio.TaskGroup | None = None
    """The tasks of the running graph."""
    monitor: Monitor | None = None
    failures: Counter = field(default_factory=lambda: Counter("task_failures", "Tasks that failed unexpectedly."))


class PluginHost:
    """Implements `logpipe.Host`."""

    def __init__(
        self,
        plugin_id: str,
        *,
        kind: str,
        type_name: str,
        world: World,
        router: Router | None,
        log: logging.LoggerAdapter[Any],
        builder: Builder,
        element: Element,
        label: str = "@ROOT",
        in_error_label: bool = False,
        is_named: bool = False,
    ) -> None:
        self.plugin_id = plugin_id
        self.kind = kind
        self.type_name = type_name
        self.log: logging.Logger | logging.LoggerAdapter[Any] = log
        self.element = element
        """The section that it was configured by."""
        self.clock = world.clock
        self.hostname = world.hostname
        self.worker_id = world.worker_id
        self.workers = world.workers
        self.files = world.files
        self.metrics = Metrics()
        self.errors = self.metrics.counter(*ERRORS)
        self.emitted = self.metrics.counter("emitted_records", "Events that it sent on and that were accepted.")
        self.label = label
        """The router that it stands in; an input's is the one it emits to."""
        self.culprit = Culprit(kind, type_name, plugin_id, label, world.config_path)
        """How dead letters name it."""
        self.in_error_label = in_error_label
        self.is_secondary = False
        self.zone_and_keys: Callable[[], tuple[Any, tuple[str, ...]]] | None = None
        """The time zone and the chunk keys of the output's `<buffer>`; None for a direct output."""
        self._world = world
        self._is_named = is_named
        self.router = router
        self._builder = builder
        self._edge: Edge | None = None
        """The link to the router; None until it has emitted something."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: asyncio.Task[None] | None = None

    @property
    def root_dir(self) -> Path | None:
        """The plugin's own folder, where `root_dir` and `@id` are configured."""
        root = self._world.root_dir
        if root is None or not self._is_named:
            return None  # compat: plugin_id.rb; a name made of a number would lead to another's folder one day
        return root / f"worker{self.worker_id}" / self.plugin_id

    @property
    def title(self) -> str:
        """What links call it."""
        return f"{self.kind} {self.plugin_id}"

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
        if self.kind == "input":
            edge.given += count
            await router.emit(batch, edge)
        else:
            await self._pass_on(router, batch, edge)
        self.emitted.value += count

    def _edge_to(self, router: Router) -> Edge:
        return self._world.edges.between(self.title, router.title)

    async def _pass_on(self, router: Router, batch: EventBatch, edge: Edge) -> None:
        """Emit what came from another output; a circle of them ends here, and costs no stack on the way."""
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

    def emitter(self, label: str) -> Callable[[EventBatch], Awaitable[None]]:
        """Return what sends a batch into a label."""
        router = self._builder.router(label)
        if router is None:
            raise InvalidSetting(f'label "{label}" is not defined: add <label {label}>', param="label")
        return partial(self._emit_to, router, self._edge_to(router))

    def emit_error(
        self, tag: str, time: Time, record: Record, error: Exception, *, receipt: Receipt | None = None
    ) -> None:
        """Hand one bad event to `@ERROR`."""
        self.errors.value += 1
        self._world.dead_letters.add(
            tag, time, record, error, receipt, culprit=self, who=self.culprit, in_error_label=self.in_error_label
        )

    def dropped(self, count: int) -> None:
        """Count what was dropped on purpose."""
        self.metrics.counter(*(DISCARDED if self.kind == "output" else DROPPED)).value += count

    def made(self, count: int) -> None:
        """Count what was made of other events."""
        self.metrics.counter(*MADE).value += count

    def passed(self, outlet: Outlet, count: int) -> None:
        """Count what an outlet was given."""
        if isinstance(outlet, LinkedOutlet):
            outlet.edge.given += count
            outlet.edge.is_compared = True

    def counter(self, name: str, doc: str) -> Counter:
        """Return a counter of this plugin."""
        return self.metrics.counter(name, doc)

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """Register a number that is read when asked."""
        self.metrics.gauge(name, read)

    def claim(self, kind: str, name: str) -> None:
        """Reserve what two plugins must not share."""
        owner = self._world.claims.setdefault((kind, name), self)
        if owner is not self:
            raise InvalidSetting(f"{kind} {name} is already used by {owner.described}: give each its own", param=kind)

    @property
    def described(self) -> str:
        """How a person finds the plugin: `<source> @type tail at td-agent.conf:3:1`."""
        extra = getattr(self.log, "extra", None) or {}
        return f"{extra['section']} at {extra['place']}" if "section" in extra else self.plugin_id

    def start_task(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """Run `work` beside the plugin until it ends or the plugin stops."""
        self._start(work, name)

    def start_running(self, work: Coroutine[Any, Any, None]) -> None:
        """Run an input until `stop_running`."""
        self._running = self._start(work, "run")

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        group = self._world.group
        if group is None:
            work.close()
            raise RuntimeError(f"task {name} of {self.plugin_id} was started before the graph runs")
        # what is said of the batch that somebody is working on is not said of a task that outlives it
        name_of_task = f"{self.kind}.{self.plugin_id}.{name}"
        task = group.create_task(self._guard(work, name), name=name_of_task, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guard(self, work: Coroutine[Any, Any, None], name: str) -> None:
        try:
            await work
        except BaseException as raised:
            error = failure_of(raised)
            if error is None:
                raise
            self._world.failures.add(1)
            self.log.exception("unexpected error in task %s", name, exc_info=error)

    async def stop_running(self) -> None:
        """End what `start_running` began, and wait for its end; the other tasks go on."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def cancel_tasks(self) -> None:
        """End the tasks that are still running, and wait until they have ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def in_thread(self, function: Callable[..., T], *args: Any) -> T:
        """Run a blocking call in the worker's pool of threads."""
        return await asyncio.get_running_loop().run_in_executor(self._world.threads, function, *args)

    def parser(self, conf: PluginConf) -> Parser[Any]:
        """Build the parser of a `<parse>` section."""
        parser: Parser[Any] = conf.plugin_class(conf.options, self)
        return parser

    def formatter(self, conf: PluginConf) -> Formatter[Any]:
        """Build the formatter of a `<format>` section."""
        formatter: Formatter[Any] = conf.plugin_class(conf.options, self)
        return formatter

    def outlet(self, conf: PluginConf) -> Outlet:
        """Build the output of a `<store>` section."""
        outlet, title = self._builder.nested_outlet(conf, self)
        edge = self._world.edges.between(self.title, title)
        edge.is_compared = False  # until it says for the first time what it gives
        return LinkedOutlet(partial(outlet.process, edge=edge), edge)

    @property
    def monitor(self) -> Monitor:
        """A view of the graph."""
        if self._world.monitor is None:
            raise RuntimeError(f"{self.plugin_id} asked for the monitor before the graph was built")
        return self._world.monitor

    @property
    def chunk_keys(self) -> tuple[str, ...]:
        """The chunk keys of the output's buffer."""
        return () if self.zone_and_keys is None else self.zone_and_keys()[1]

    def expand(self, template: str, chunk: Chunk) -> str:
        """Fill a template's placeholders from what the chunk's events share."""
        zone, keys = (None, ()) if self.zone_and_keys is None else self.zone_and_keys()
        return expand(template, chunk, zone=zone, keys=keys, log=self.log)


async def _give(router: Router, batch: EventBatch, edge: Edge) -> None:
    """Emit a batch, counting it when that begins: a task that is cancelled before has given nothing."""
    edge.given += len(batch.times)
    await router.emit(batch, edge)
