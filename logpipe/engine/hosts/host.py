"""The host of one plugin: what the engine lends it."""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from logpipe.config.declare import InvalidSetting
from logpipe.config.diagnostic import Report
from logpipe.config.element import Element
from logpipe.config.options import PluginConf
from logpipe.engine.accounting import ERRORS, Edges, Taker
from logpipe.engine.dead_letters.letters import Culprit
from logpipe.engine.dead_letters.queue import DeadLetterQueue
from logpipe.engine.routing.router import Router
from logpipe.engine.sizes import SIZE
from logpipe.errors import LogpipeError
from logpipe.event import Receipt, Record, Time
from logpipe.metrics import Counter, Metrics
from logpipe.plugin import Clock, Files, Formatter, Host, Monitor, Parser
from logpipe.plugin.discovery import ServiceDiscovery
from logpipe.plugin.failures import failure_of
from logpipe.registry import innermost_place, reason
from logpipe.sockets.endpoint import Endpoints


class SystemClock:
    """The real time."""

    now = staticmethod(time.time_ns)
    monotonic = staticmethod(time.monotonic)
    timeout = staticmethod(asyncio.timeout)

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        await asyncio.sleep(seconds)


T = TypeVar("T")


class PartBuilder(Protocol):
    """Builds the outputs that outputs hold."""

    def nested_outlet(self, conf: PluginConf, parent: PluginHost) -> tuple[Taker, str]:
        """Build a `<store>`'s output with its buffer, and say how links call it."""

    def configured(self, section: Element, report: Report) -> PluginConf | None:
        """Read the section of an output."""

    def router(self, label: str) -> Router | None:
        """Return a label's router, None where there is no such label."""


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
    counts_sizes: bool = False
    """Whether stages count the bytes of their events."""
    config_path: str = ""
    """The configuration's file, absolute; empty where it has none."""
    claims: dict[tuple[str, str], PluginHost] = field(default_factory=dict)
    edges: Edges = field(default_factory=Edges)
    endpoints: Endpoints = field(default_factory=Endpoints)
    """Where inputs listen."""
    group: asyncio.TaskGroup | None = None
    """The tasks of the running graph."""
    is_starting: bool = False
    """Whether the graph starts or has started: what is built from then on starts with its first batch."""
    emit_ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever an input's batch was accepted or refused; whoever waits for it clears it."""
    monitor: Monitor | None = None
    failures: Counter = field(default_factory=lambda: Counter("task_failures", "Tasks that failed unexpectedly."))


class PluginHost:
    """What the hosts of all kinds have in common; kinds.py has the rest."""

    def __init__(
        self,
        plugin_id: str,
        *,
        kind: str,
        type_name: str,
        world: World,
        router: Router | None,
        log: logging.LoggerAdapter[Any],
        builder: PartBuilder,
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
        self.sizes = self.metrics.counter(*SIZE) if world.counts_sizes else None
        self.label = label
        """The router that it stands in; an input's is the one it emits to."""
        self.culprit = Culprit(kind, type_name, plugin_id, label, world.config_path)
        """How dead letters name it."""
        self.in_error_label = in_error_label
        self._world = world
        self._is_named = is_named
        self.router = router
        self._builder = builder
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

    def emit_error(
        self, tag: str, time: Time, record: Record, error: Exception, *, receipt: Receipt | None = None
    ) -> None:
        """Hand one bad event to `@ERROR`."""
        self.errors.value += 1
        self._world.dead_letters.add(
            tag, time, record, error, receipt, culprit=self, who=self.culprit, in_error_label=self.in_error_label
        )

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
        task.add_done_callback(lambda _task: work.close())  # it was cancelled before it began
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

    def discovery(self, conf: PluginConf) -> ServiceDiscovery[Any]:
        """Build what finds the services of a `<service_discovery>` section."""
        discovery: ServiceDiscovery[Any] = conf.plugin_class(conf.options, self)
        return discovery

    @property
    def monitor(self) -> Monitor:
        """A view of the graph."""
        if self._world.monitor is None:
            raise RuntimeError(f"{self.plugin_id} asked for the monitor before the graph was built")
        return self._world.monitor


_HINTS: Final = {
    errno.EADDRINUSE: ": stop what uses it, or give another port",
    errno.EACCES: ": let the user that logpipe runs as do it, or give another",
    errno.EADDRNOTAVAIL: ": give an address of this machine",
}


class StartError(LogpipeError):
    """A plugin could not start. `is_expected` tells a reason in the world from a mistake in the plugin."""

    def __init__(self, message: str, *, is_expected: bool = True) -> None:
        super().__init__(message)
        self.is_expected = is_expected


async def started(starting: Awaitable[None], host: Host) -> None:
    """Wait until a plugin has started.

    Raises:
        StartError: it could not; what it raised is the cause.
    """
    who = getattr(host, "described", host.plugin_id)
    try:
        await starting
    except LogpipeError as problem:
        raise StartError(f"{who}: {problem}") from problem
    except OSError as problem:
        said = problem.strerror or str(problem)
        said = f"{problem.filename}: {said}" if problem.filename else said
        raise StartError(f"{who}: {said}{_HINTS.get(problem.errno or 0, '')}") from problem
    except BaseException as raised:
        error = failure_of(raised)
        if error is None:
            raise
        said = f"{who}: the plugin failed: {reason(error)} ({innermost_place(raised)})"
        raise StartError(said, is_expected=False) from raised
