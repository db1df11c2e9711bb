"""One worker's whole life: build, start, run, drain, stop.

Start goes from outputs to inputs, so that no event meets an output that is not there; stop goes the other way.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from logpipe.config.diagnostic import ConfigError, Diagnostic, Report, error
from logpipe.config.element import Element
from logpipe.engine.building.build import FLUENT_LOG, Builder
from logpipe.engine.building.construction import ROOT
from logpipe.engine.building.outlets import Replace
from logpipe.engine.dead_letters.files import DeadLetterFiles, default_base
from logpipe.engine.dead_letters.limits import Limits
from logpipe.engine.dead_letters.queue import DeadLetterQueue
from logpipe.engine.hosts.host import PluginHost, SystemClock, World, started
from logpipe.engine.hosts.kinds import Stage
from logpipe.engine.logging.setup import LogEvents, no_events
from logpipe.engine.routing.router import Router
from logpipe.engine.running.draining import Draining
from logpipe.engine.running.ledger import Ledger, take
from logpipe.engine.running.left_behind import Left, LeftBehind, left_in
from logpipe.engine.running.monitor import GraphMonitor
from logpipe.engine.system import SystemOptions
from logpipe.event import EventBatch
from logpipe.plugin import Clock, Files, Input
from logpipe.plugin.failures import failure_of
from logpipe.registry import Registry
from logpipe.sockets.endpoint import Endpoint

FIRST_BACK_OFF: Final = 1.0
LONGEST_BACK_OFF: Final = 60.0
THREADS: Final = 8
STOP_SECONDS: Final = 3.0
"""How long filters, buffers and outputs together may take to close, after `shutdown_timeout`."""
INPUTS_STOP_SECONDS: Final = 1.0
"""How much longer the inputs may take, at least."""
TODAY: Final = "1"
"""The `compat` that plugins have by themselves."""


class Graph:
    """A built configuration. `run` starts it, and stops it after `request_stop`."""

    def __init__(
        self, builder: Builder, system: SystemOptions, left_behind: LeftBehind | None, rpc: Endpoint | None
    ) -> None:
        self.world = builder.world
        self.stages = builder.stages
        self.routers = builder.routers
        self.outlets = builder.outlets.buffered
        self.outlets_by_id = builder.outlets.by_id
        self.rewrites = builder.rewrites
        self.started: asyncio.Event = asyncio.Event()
        self.rpc = rpc
        """Where whoever runs the graph takes commands; None for nowhere."""
        self.command_line: Mapping[str, Any] = {}
        """What it says about the program's files, by fluentd's names, for the monitor."""
        self.world.monitor = GraphMonitor(self, system)
        self._system = system
        self._log = builder.log
        self._stop_asked = asyncio.Event()
        self._aborted = asyncio.Event()
        self._starting: asyncio.Timeout | None = None
        self._outputs_started = False
        self._stop_by = 0.0
        self._before: Left = {}
        self._left_behind = left_behind
        self._watched: tuple[LogEvents, Router] | None = None
        """What keeps our own messages as events, and where these go."""
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    def build(
        cls,
        root: Element,
        *,
        registry: Registry,
        report: Report,
        log: logging.Logger | None = None,
        clock: Clock | None = None,
        worker_id: int = 0,
        workers: int | None = None,
        with_sources: bool = True,
        strict_values: bool = False,
        compat: str = "",
        backup_dir: Path | None = None,
        in_memory: bool = False,
        config_path: Path | None = None,
        replace: Replace | None = None,
    ) -> Self:
        """Build a graph without touching the world.

        Dead letters go to `backup_dir` where `<system>` has no `root_dir`. `workers` is the number of processes that
        run it where the command line has chosen another than `<system>`. With `in_memory` no buffer keeps files: for a
        graph beside one that runs. Dead letters say `config_path`, so that they find back to their outputs. `replace`
        may give another output in the place of each that is built, which works without a buffer, for tests of a
        configuration.

        Raises:
            ConfigError: something in the configuration is wrong; all of it went to `report` as well.
        """
        log = log or logging.getLogger("logpipe")
        clock = clock or SystemClock()
        errors: list[Diagnostic] = []

        def collect(diagnostic: Diagnostic) -> None:
            if diagnostic.severity == "error":
                errors.append(diagnostic)
            report(diagnostic)

        system = read_system(root, collect)
        root_dir = Path(system.root_dir) if system.root_dir else None
        base = root_dir or backup_dir or default_base()
        files = Files(system.file_permission, system.dir_permission)
        limits = Limits(system.dead_letter_limit_size, system.dead_letter_limit_age)
        letters = DeadLetterFiles(base, worker_id, clock, files, limits=limits, log=log)
        world = World(
            clock=clock,
            dead_letters=DeadLetterQueue(log, clock, letters),
            files=files,
            counts_sizes=bool(system.enable_size_metrics),
            threads=ThreadPoolExecutor(THREADS, thread_name_prefix="logpipe"),
            hostname=socket.gethostname(),
            worker_id=worker_id,
            root_dir=root_dir,
            workers=workers or system.workers,
            config_path="" if config_path is None else str(config_path.absolute()),
        )
        strict = strict_values or bool(system.strict_config_value)
        compat = compat or ("" if system.compat == TODAY else system.compat)
        builder = Builder(
            registry, world, collect, log=log, strict=strict, compat=compat, in_memory=in_memory, replace=replace
        )
        commands = system.rpc_address if worker_id == 0 else None
        rpc = None if commands is None else world.endpoints.declare(commands, "<system> rpc_endpoint")
        builder.build(root, with_sources=with_sources and not system.without_source)
        if errors:
            raise ConfigError(errors)
        is_looked_after = config_path is not None and not in_memory
        left_behind = LeftBehind(base / "backup", world, registry, log) if is_looked_after else None
        return cls(builder, system, left_behind, rpc)

    def ledger(self) -> Ledger:
        """Return where every byte and every event of this run went so far; of a stopped graph, for good."""
        before = self._before if self._outputs_started else {}  # nobody has looked yet for what that has left
        return take(self.stages, self.routers.values(), self.outlets, self.world, before)

    def left(self) -> Left:
        """Return what this run's buffers hold that a later one finds again."""
        return left_in(self.outlets) if self._outputs_started else self._before

    def comes_after(self, before: Left) -> None:
        """Hear what the run before has left, of which this one's ledger says whether it was found again."""
        self._before = before

    def request_stop(self) -> None:
        """Ask `run` to stop, starting included; safe to call more than once, from the event loop's thread."""
        self._stop_asked.set()
        if self._starting is not None:
            self._starting.reschedule(0.0)

    def abort(self) -> None:
        """Stop waiting for deliveries: what is not delivered stays in its source or on disk."""
        self._aborted.set()
        self.request_stop()

    def flush(self) -> None:
        """Queue everything that is staged; delivery goes on in the background."""
        for outlet in self.outlets:
            outlet.staging.enqueue_all()

    async def run(self) -> None:
        """Start, work until `request_stop`, drain, stop."""
        with suppress(RuntimeError, MemoryError):
            self.world.threads.submit(int)  # starts a thread: there may be no memory for one when the way out needs it
        async with asyncio.TaskGroup() as group:
            self.world.group = group
            self._tasks.append(group.create_task(self.world.dead_letters.run(), name="dead_letters"))
            try:
                if await self._start_unless_stopped():
                    self.started.set()
                    await self._stop_asked.wait()
                if self._outputs_started:
                    await self._drain()
            finally:
                await self._stop()
                await self.world.endpoints.close()
                self.world.group = None
                for task in self._tasks:
                    task.cancel()
        self.world.threads.shutdown(wait=False, cancel_futures=True)
        self._say_ledger()

    async def _start_unless_stopped(self) -> bool:
        """Start everything; returns whether it came to an end before it was asked to stop."""
        if self._stop_asked.is_set():
            return False
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._starting = scope
                await self._start()
                self._starting = None
        except TimeoutError:
            if not scope.expired():
                raise
            self._log.info("stopping before everything had started")
            return False
        finally:
            self._starting = None
        return True

    def _say_ledger(self) -> None:
        """Say where everything went, last of all."""
        ledger = self.ledger()
        for line in ledger.lines():
            self._log.info("%s", line)
        if ledger.unexplained:
            where = "; ".join(ledger.gaps()) or "a source's bytes"
            self._log.warning("the ledger does not add up: %s: please report it with the lines above", where)

    async def _start(self) -> None:
        built = list(self.outlets)  # what outputs build while they start begins with its first batch
        self.world.is_starting = True
        for stage in (*self.stages.outputs, *self.stages.filters):
            await started(stage.plugin.start(), stage.host)
        for outlet in built:
            await started(outlet.start(), outlet.host)
        if self._left_behind is not None:
            await asyncio.to_thread(self._left_behind.begin, [outlet.buffer for outlet in self.outlets])
        self._outputs_started = True
        self._watch_log()
        for stage in self.stages.inputs:
            assert isinstance(stage.plugin, Input)  # noqa: S101 - the builder put only inputs there
            await started(stage.plugin.start(), stage.host)
            stage.host.start_running(self._keep_running(stage.plugin, stage))

    async def _keep_running(self, plugin: Input[Any], stage: Stage[PluginHost]) -> None:
        """Run an input, again after a back-off when it fails."""
        back_off = FIRST_BACK_OFF
        while True:
            began = self.world.clock.monotonic()
            try:
                await plugin.run()
            except BaseException as raised:
                error = failure_of(raised)
                if error is None:
                    raise
                self.world.failures.add(1)
                stage.host.log.exception("input failed; it starts again in %.0f seconds", back_off, exc_info=error)
            else:
                return
            await self.world.clock.sleep(back_off)
            lasted = self.world.clock.monotonic() - began
            back_off = FIRST_BACK_OFF if lasted > LONGEST_BACK_OFF else min(LONGEST_BACK_OFF, back_off * 2)

    async def _drain(self) -> None:
        """Stop reading, then deliver what the settings say, within the shutdown's deadline."""
        group = self.world.group
        assert group is not None  # noqa: S101 - run has set it
        delivering = group.create_task(self._deliver_rest(), name="drain")
        aborted = group.create_task(self._aborted.wait(), name="abort")
        timeout = float(self._system.shutdown_timeout)
        _, pending = await asyncio.wait((delivering, aborted), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if delivering in pending and aborted in pending:
            self._log.warning("shutdown_timeout of %.0f seconds passed before everything was delivered", timeout)
        for task in (delivering, aborted):
            task.cancel()
        await asyncio.gather(delivering, aborted, return_exceptions=True)

    async def _deliver_rest(self) -> None:
        draining = Draining(self.stages, self.outlets, self.world, self._log)
        await draining.quiesce()
        if self._watched is not None and self._system.log_event_verbose:  # compat: engine.rb, stop_phase
            await self._emit_kept(*self._watched)  # before the outputs are drained
        await draining.run()

    async def _stop(self) -> None:
        if self._left_behind is not None:
            await asyncio.to_thread(self._left_behind.say)
        self._unwatch_log()
        self._stop_by = asyncio.get_running_loop().time() + STOP_SECONDS
        for each in self.stages.inputs:
            # what is still on its way must not meet a stage that has stopped
            end = each.host.cancel_tasks if each.host.emitting else each.host.stop_running
            await self._guarded(end, "input", each.host.plugin_id)
        await self._stop_stages(self.stages.filters)
        for outlet in self.outlets:
            await self._guarded(outlet.stop, "buffer", outlet.host.plugin_id)
        await self._stop_stages(reversed(self.stages.outputs))
        self._stop_by += INPUTS_STOP_SECONDS
        await self._stop_stages(self.stages.inputs)  # last: receipts may have settled meanwhile

    async def _stop_stages(self, stages: Iterable[Stage[PluginHost]]) -> None:
        for stage in stages:
            await self._guarded(stage.plugin.stop, stage.host.kind, stage.host.plugin_id)
            await self._guarded(stage.host.cancel_tasks, stage.host.kind, stage.host.plugin_id)

    async def _guarded(self, stop: Callable[[], Any], kind: str, plugin_id: str) -> None:
        try:
            async with asyncio.timeout_at(self._stop_by):
                await stop()
        except BaseException as raised:  # one plugin's trouble must not keep the others from stopping
            error = failure_of(raised)
            if error is None:
                raise
            self._log.exception("unexpected error while stopping %s plugin_id=%r", kind, plugin_id, exc_info=error)

    def _watch_log(self) -> None:
        """Route our own messages as events, where the configuration has a place for them."""
        router = self._log_router()
        if router is None or self.world.group is None:
            return
        self._watched = events, _ = LogEvents(), router
        for each in (each for handler in self._log.handlers for each in handler.filters):
            events.addFilter(each)  # what is left out of the log as a repetition is no event either
        self._log.addHandler(events)
        work = self._emit_log_events(events, router)
        self._tasks.append(self.world.group.create_task(work, name="log_events"))

    def _log_router(self) -> Router | None:
        if FLUENT_LOG in self.routers:
            return self.routers[FLUENT_LOG]
        root = self.routers[ROOT]
        if not any(root.matches(f"fluent.{level}") for level in ("trace", "debug", "info", "warn", "error", "fatal")):
            return None
        # compat: root_agent.rb does the same, with the same advice
        self._log.info(
            "a <match> at top level takes logpipe's own log events (fluent.*): define <label @FLUENT_LOG> to keep them "
            "apart"
        )
        return root

    async def _emit_log_events(self, source: LogEvents, router: Router) -> None:
        """Emit in batches, once a second: what delivering them logs is one more batch a second at most."""
        while True:
            await self.world.clock.sleep(1.0)
            await self._emit_kept(source, router)

    async def _emit_kept(self, source: LogEvents, router: Router) -> None:
        by_tag: dict[str, EventBatch] = {}
        edge = self.world.edges.between("log", router.title)
        while source.events:
            tag, moment, fields = source.events.popleft()
            batch = by_tag.setdefault(tag, EventBatch(tag, [], []))
            batch.times.append(moment)
            batch.records.append(dict(fields))
        for batch in by_tag.values():
            with no_events(), suppress(Exception):
                edge.given += len(batch.times)
                await router.emit(batch, edge)

    def _unwatch_log(self) -> None:
        if self._watched is not None:
            self._log.removeHandler(self._watched[0])
            self._watched = None


def read_system(root: Element, report: Report) -> SystemOptions:
    """Return the settings of the one `<system>`; the defaults where there is none, or one with errors."""
    found = list(root.sections("system"))
    for extra in found[1:]:
        report(error("repeated-section", "<system> is duplicated. <system> should be only one", extra.position))
    said: list[Diagnostic] = []
    system = SystemOptions.read(found[0] if found else Element("system"), said.append)
    for diagnostic in said:
        report(diagnostic)
    if any(diagnostic.severity == "error" for diagnostic in said):
        return SystemOptions.read(Element("system"), report)
    return system
