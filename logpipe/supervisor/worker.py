"""One worker: runs a graph in this process, and replaces it on a signal to reload the configuration."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from logpipe import signals
from logpipe.config.diagnostic import ConfigError
from logpipe.engine.hosts.host import StartError
from logpipe.engine.logging.setup import reopen
from logpipe.engine.running import malloc
from logpipe.engine.running.graph import Graph
from logpipe.engine.running.watchdog import Watchdog
from logpipe.errors import LogpipeError
from logpipe.sockets.kept import LeftOpen, Sockets
from logpipe.sockets.opening import ListenError
from logpipe.supervisor.loading import Loaded, set_up_log
from logpipe.supervisor.restarting import CANNOT_START, UNUSABLE, Trial
from logpipe.supervisor.settings import Settings
from logpipe.supervisor.state import log_state

if TYPE_CHECKING:
    from logpipe.supervisor.rpc import Rpc

UNRECOVERABLE: Final = 2
"""A worker's exit status when a restart cannot help; fluentd's number."""

GRACE_SECONDS: Final = 5.0
"""Seconds after `shutdown_timeout` for closing; then the process is ended."""

REST_SECONDS: Final = 1.0
"""Seconds between two reloads; signals that come faster are joined."""


class Worker:
    """Runs one graph after another, until a signal ends it.

    Args:
        settings: the command line's.
        loaded: the configuration of the first graph.
        graph: the first graph.
        log: the worker's log.
        watchdog: ends the process when a deadline passes.
        sockets: those of the process, which pass from one graph to the next.
        started: called once, when the first graph's inputs have started.
    """

    def __init__(
        self,
        settings: Settings,
        loaded: Loaded,
        graph: Graph,
        log: logging.Logger,
        watchdog: Watchdog,
        *,
        sockets: Sockets,
        started: Callable[[], object] = bool,
    ) -> None:
        self._sockets = sockets
        self._started = started
        self._settings = settings
        self._watchdog = watchdog
        self._log = log
        self._loaded = loaded
        self._graph = graph
        self._before: Loaded | None = None
        """The configuration to return to if the current one can't start."""
        self._next: tuple[Loaded, Graph] | None = None
        self._reload_asked = asyncio.Event()
        self._restart_asked = False
        """Whether the program is to take its own place, rather than one graph that of another."""
        self._is_replaced = False
        self.left_open: LeftOpen | None = None
        """What stays open for the program that takes the place of this one; None where there is to be none."""
        self._reloaded_at = 0.0
        self._stop_requested = False
        """Whether a signal to stop has arrived; the loop may not have handled it yet."""
        self._ending = False

    async def run(self) -> None:
        """Run until a signal ends it.

        Raises:
            ExceptionGroup: the graph could not run.
        """
        self._handle_signals()
        try:
            await self._run_graphs()
            if self._is_replaced and not self._ending:
                self.left_open = await self._sockets.leave_open()
        finally:
            if self.left_open is None:
                await self._sockets.close()
                signals.ignore()

    async def _run_graphs(self) -> None:
        while True:
            failure = await self._run_graph()
            if failure is None:
                before: Loaded | None = self._loaded
            else:
                before, self._next = None, self._fallback(failure)
            if self._ending or self._next is None:
                return
            self._switch(*self._next)
            self._before = before

    async def _run_graph(self) -> Exception | None:
        """Run the graph to its end, and prepare the next one on a reload; returns why it failed."""
        graph = self._graph
        graph.world.endpoints.sockets = self._sockets
        rpc = self._rpc(graph)
        try:
            if rpc is not None:
                await rpc.start()
        except ListenError as problem:
            return ExceptionGroup("rpc_endpoint", [StartError(f"<system> rpc_endpoint: {problem}")])
        try:
            async with asyncio.TaskGroup() as group:
                preparing = group.create_task(self._prepare_next(graph), name="reload")
                try:
                    await graph.run()
                except ExceptionGroup as failure:
                    return failure
                finally:
                    preparing.cancel()
        finally:
            if rpc is not None:
                await rpc.stop()
        return None

    def _rpc(self, graph: Graph) -> Rpc | None:
        """Return what takes commands for a graph; None where there is no `rpc_endpoint`."""
        if graph.rpc is None:
            return None
        from logpipe.supervisor.rpc import Rpc  # noqa: PLC0415 - few configurations need it

        return Rpc(
            graph.rpc,
            log=self._log,
            dump=self._loaded.shown,
            offers_dump=bool(self._loaded.system.enable_get_dump),
            pid=os.getpid() if self._settings.worker_id is None else None,
        )

    async def _prepare_next(self, graph: Graph) -> None:
        """Wait for a reload, build the next graph beside the running one, and stop that one if the build succeeds."""
        await graph.started.wait()
        await graph.world.endpoints.settle()
        self._started()
        self._before = None
        while self._next is None and not self._is_replaced:
            await self._reload_asked.wait()
            await asyncio.sleep(self._reloaded_at + REST_SECONDS - time.monotonic())
            self._reload_asked.clear()
            self._reloaded_at = time.monotonic()
            if self._restart_asked:
                self._restart_asked = False
                self._is_replaced = await asyncio.to_thread(self._can_be_replaced, graph)
            else:
                self._log.info("reading the configuration again: %s", self._settings.config)
                self._next = await asyncio.to_thread(self._build_next)
                graph.world.endpoints.next = self._next[1].world.endpoints.addresses if self._next else frozenset()
            if self._next is None and not self._is_replaced:
                await graph.world.endpoints.settle()
        self._log.info("the configuration is good: stopping what runs by the one before")
        self._watchdog.end_within(self._grace)
        graph.request_stop()

    def _build_next(self) -> tuple[Loaded, Graph] | None:
        """Return the changed configuration with its graph; None, with the reasons logged, where it can't run."""
        loaded = Loaded.read(self._settings)
        try:
            graph = loaded.build(self._settings, self._log)
        except Exception as problem:  # noqa: BLE001 - not even a broken plugin may end the running graph
            if not isinstance(problem, ConfigError):
                self._log.error("cannot build it", exc_info=problem)
            for diagnostic in loaded.found:
                if diagnostic.severity != "hint":
                    self._log.error("%s", diagnostic)
            self._log.error(UNUSABLE)
            return None
        if not self._opens_ahead(graph):
            return None
        for diagnostic in loaded.found:
            self._log.log(diagnostic.level, "%s", diagnostic)
        if loaded.system.workers != self._loaded.system.workers:
            self._log.warning("workers is now %d: that takes a restart, not a reload", loaded.system.workers)
        return loaded, graph

    def _opens_ahead(self, graph: Graph) -> bool:
        """Open the addresses of the next graph; returns whether that was possible, with the reason logged."""
        graph.world.endpoints.sockets = self._sockets
        try:
            graph.world.endpoints.open_ahead()
        except LogpipeError as problem:
            self._log.error("%s", problem)
            self._log.error(UNUSABLE)
            return False
        return True

    def _can_be_replaced(self, running: Graph) -> bool:
        """Return whether the program can take its own place, with the reasons logged where not."""
        try:
            if not Trial(self._settings, self._log).is_good():
                return False
        except OSError as problem:
            self._log.error(CANNOT_START, problem)
            return False
        try:
            graph = Loaded.read(self._settings).build(self._settings, self._log)
        except Exception:  # noqa: BLE001 - the next program has read it, which may be able to do more
            graph = running
        running.world.endpoints.next = graph.world.endpoints.addresses
        return graph is running or self._opens_ahead(graph)

    def _restart(self) -> None:
        self._restart_asked = self._has_no_supervisor
        self._reload_asked.set()

    def _end_source_only(self) -> None:
        if self._loaded.is_source_only:
            self._log.info("ending with_source_only (SIGWINCH): what waits in its files is delivered")
            self._settings = replace(self._settings, ends_source_only=True)
            self._reload_asked.set()
        else:
            self._log.debug("SIGWINCH: with_source_only is not in use")

    def _switch(self, loaded: Loaded, graph: Graph) -> None:
        """Replace the graph that has ended, and set up the log of the new `<system>`."""
        self._watchdog.forgive()
        graph.comes_after(self._graph.left())
        self._loaded, self._graph, self._next = loaded, graph, None
        try:
            set_up_log(self._settings, loaded.system)
        except LogpipeError as problem:
            self._log.warning("the log stays where it is: %s", problem)
        gc.unfreeze()  # the old graph is garbage now
        gc.collect()
        malloc.tune()
        self._log.info("starting by the configuration as it was read")

    def _fallback(self, failure: Exception) -> tuple[Loaded, Graph]:
        """Return the previous configuration, with a new graph, where the current one could not start.

        Raises:
            ExceptionGroup: it had started, or there is no previous one.
        """
        before = self._before
        if before is None or self._ending:
            raise failure
        log_failure(self._log, failure)
        self._log.error("going back to the configuration before")
        try:
            return before, before.build(self._settings, self._log)
        except ConfigError as problem:
            raise failure from problem

    @property
    def _grace(self) -> float:
        return float(self._loaded.system.shutdown_timeout) + GRACE_SECONDS

    @property
    def _stops(self) -> tuple[signal.Signals, ...]:
        return signals.STOPS if self._settings.worker_id is None else (signal.SIGTERM,)

    def _handle_signals(self) -> None:
        listener = signals.Listener(
            asyncio.get_running_loop(),
            {
                **{number: partial(self._stop, number) for number in self._stops},
                signal.SIGQUIT: partial(self._stop_at_once, signal.SIGQUIT),
                signal.SIGHUP: self._reload_asked.set,
                signal.SIGUSR2: self._restart,
                signal.SIGUSR1: self._flush,
                signal.SIGWINCH: self._end_source_only,
                signal.SIGCONT: lambda: log_state(self._graph, self._log),
            },
            self._on_signal,
        )
        self._watchdog.each_second = listener.dispatch

    def _on_signal(self, number: int) -> None:
        """Set the deadline within the signal handler: a stage that blocks the loop would delay it."""
        if number == signal.SIGQUIT or (number in self._stops and self._stop_requested and self._has_no_supervisor):
            self._watchdog.end_within(GRACE_SECONDS)
        elif number in self._stops and not self._stop_requested:
            self._stop_requested = True
            self._watchdog.end_within(self._grace)

    @property
    def _has_no_supervisor(self) -> bool:
        """Whether a second signal is a second order; a supervisor and a service manager may both send the first."""
        return self._settings.worker_id is None

    def _stop(self, number: signal.Signals) -> None:
        if not self._ending:
            self._ending = True
            self._graph.world.endpoints.next = frozenset()
            self._graph.request_stop()
            self._watchdog.end_within(self._grace)  # a reload meanwhile may have cleared the deadline
            self._log.info("received graceful stop (%s)", number.name)
        elif self._has_no_supervisor:
            self._stop_at_once(number)

    def _stop_at_once(self, number: signal.Signals) -> None:
        self._ending = True
        self._graph.abort()
        self._watchdog.end_within(GRACE_SECONDS)
        self._log.warning("received %s: stopping at once, without delivering what is left", number.name)

    def _flush(self) -> None:
        self._log.info("flushing all buffers (SIGUSR1)")
        reopen(self._log)
        self._graph.flush()


def log_failure(log: logging.Logger, failure: Exception) -> None:
    """Log why a graph could not run."""
    for each in failure.exceptions if isinstance(failure, ExceptionGroup) else (failure,):
        is_expected = each.is_expected if isinstance(each, StartError) else isinstance(each, LogpipeError)
        log.critical("cannot run: %s", each, exc_info=None if is_expected else (each.__cause__ or each))
