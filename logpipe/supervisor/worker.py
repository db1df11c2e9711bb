"""One worker: runs a graph here, and another one in its place when it is told to read its configuration again."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from logpipe import signals
from logpipe.config.diagnostic import ConfigError, Diagnostic
from logpipe.config.element import Element
from logpipe.engine import malloc
from logpipe.engine.graph import Graph, read_system
from logpipe.engine.log import reopen, set_up
from logpipe.engine.log_file import LogFile, Rotation
from logpipe.engine.log_repeats import Repeats
from logpipe.engine.starting import StartError
from logpipe.engine.system import SystemOptions
from logpipe.engine.watchdog import Watchdog
from logpipe.errors import LogpipeError
from logpipe.plugin import Files
from logpipe.sockets.kept import Sockets
from logpipe.supervisor import checking
from logpipe.supervisor.account import Account
from logpipe.supervisor.settings import Settings, load
from logpipe.supervisor.state import log_state

UNRECOVERABLE: Final = 2
"""A worker's exit status that starting it again would only repeat; fluentd's number."""

GRACE_SECONDS: Final = 5.0
"""After `shutdown_timeout`, for closing what is open; then the process ends, whatever it is doing."""

REST_SECONDS: Final = 1.0
"""Between two reloads: signals that come faster ask for the same thing."""

UNUSABLE: Final = "the configuration can't be used, the one before stays in use"


@dataclass(slots=True)
class Loaded:
    """A configuration, and the graph that was built of it."""

    root: Element
    system: SystemOptions
    found: list[Diagnostic] = field(default_factory=list)

    @classmethod
    def read(cls, settings: Settings) -> Loaded:
        """Read the configuration; its mistakes are in `found`."""
        found: list[Diagnostic] = []
        root = load(settings, found.append)
        return cls(root, read_system(root, lambda _diagnostic: None), found)  # the graph reports what is wrong there

    def build(self, settings: Settings, log: logging.Logger) -> Graph:
        """Build the graph.

        Raises:
            ConfigError: it cannot run; `found` says why.
        """
        return checking.build(settings, self.root, self.found, log)


def set_up_log(settings: Settings, system: SystemOptions, account: Account | None = None) -> logging.Logger:
    """Point the log to where the command line says, else `<system>`; a file is given to the account.

    Raises:
        LogpipeError: it cannot be written there.
    """
    path = settings.log_path or (Path(system.log.path) if system.log.path not in {None, "", "-"} else None)
    try:
        file = None if path is None else _log_file(path, system, account)
    except OSError as problem:
        said = f"-o {path}" if settings.log_path else f"<log> path {path}"
        reason = "nobody reads this FIFO" if problem.errno == errno.ENXIO else problem.strerror or str(problem)
        raise LogpipeError(f"{said}: the log cannot be written: {reason}: give a file that can be written") from None
    return set_up(
        level=settings.log_level or system.log_level,
        file=file,
        repeats=Repeats(
            same=system.ignore_same_log_interval,
            repeated=system.ignore_repeated_log_interval,
            emit_errors=system.emit_error_log_interval,
            stack_traces=system.suppress_repeated_stacktrace is not False,
        ),
        shape=system.log.format,
        time_format=system.log.time_format,
        worker=settings.worker_id,
    )


def _log_file(path: Path, system: SystemOptions, account: Account | None) -> LogFile:
    files = Files(system.file_permission, system.dir_permission)
    rotation = Rotation(system.log.rotate_age, system.log.rotate_size)
    return LogFile(path, files, rotation, None if account is None else (account.uid, account.gid))


class Worker:
    """Runs one graph after another, until a signal ends it.

    Args:
        settings: the command line's.
        loaded: the configuration of the first graph.
        graph: the first graph.
        log: where to say what happens.
        watchdog: sees to it that the process ends when it should.
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
        """The configuration to go back to if the one in use can't start."""
        self._next: tuple[Loaded, Graph] | None = None
        self._reload_asked = asyncio.Event()
        self._reloaded_at = 0.0
        self._is_told_to_stop = False
        """Whether a signal has said so, which the loop may not know yet."""
        self._ending = False

    async def run(self) -> None:
        """Run until a signal ends it.

        Raises:
            ExceptionGroup: the graph could not run.
        """
        self._listen()
        try:
            await self._run_until_told()
        finally:
            await self._sockets.close()
            signals.ignore()

    async def _run_until_told(self) -> None:
        while True:
            failure = await self._run_graph()
            if failure is None:
                before: Loaded | None = self._loaded
            else:
                before, self._next = None, self._way_back(failure)
            if self._ending or self._next is None:
                return
            self._switch(*self._next)
            self._before = before

    async def _run_graph(self) -> Exception | None:
        """Run the graph to its end, and meanwhile prepare the one after it if asked; returns why it failed."""
        graph = self._graph
        graph.world.endpoints.sockets = self._sockets
        async with asyncio.TaskGroup() as group:
            preparing = group.create_task(self._prepare_next(graph), name="reload")
            try:
                await graph.run()
            except ExceptionGroup as failure:
                return failure
            finally:
                preparing.cancel()
        return None

    async def _prepare_next(self, graph: Graph) -> None:
        """Wait for a signal, build the next graph beside the running one, and have that one stop if it is good."""
        await graph.started.wait()
        await graph.world.endpoints.settle()
        self._started()
        self._before = None
        while self._next is None:
            await self._reload_asked.wait()
            await asyncio.sleep(self._reloaded_at + REST_SECONDS - time.monotonic())
            self._reload_asked.clear()
            self._reloaded_at = time.monotonic()
            self._log.info("reading the configuration again: %s", self._settings.config)
            self._next = await asyncio.to_thread(self._build_next)
            if self._next is None:
                await graph.world.endpoints.settle()
        self._log.info("the configuration is good: stopping what runs by the one before")
        self._watchdog.end_within(self._patience)
        graph.request_stop()

    def _build_next(self) -> tuple[Loaded, Graph] | None:
        """Return the configuration as it is now, with its graph; None, with the reasons said, where it can't run."""
        loaded = Loaded.read(self._settings)
        try:
            graph = loaded.build(self._settings, self._log)
        except Exception as problem:  # noqa: BLE001 - not even a broken plugin may end what runs
            if not isinstance(problem, ConfigError):
                self._log.error("cannot build it", exc_info=problem)
            for diagnostic in loaded.found:
                if diagnostic.severity != "hint":
                    self._log.error("%s", diagnostic)
            self._log.error(UNUSABLE)
            return None
        graph.world.endpoints.sockets = self._sockets
        try:
            graph.world.endpoints.open_ahead()
        except LogpipeError as problem:
            self._log.error("%s", problem)
            self._log.error(UNUSABLE)
            return None
        for diagnostic in loaded.found:
            self._log.log(diagnostic.level, "%s", diagnostic)
        if loaded.system.workers != self._loaded.system.workers:
            self._log.warning("workers is now %d: that takes a restart, not a reload", loaded.system.workers)
        return loaded, graph

    def _switch(self, loaded: Loaded, graph: Graph) -> None:
        """Put a graph in the place of the one that has ended, with what `<system>` says about the log."""
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

    def _way_back(self, failure: Exception) -> tuple[Loaded, Graph]:
        """Return the configuration before, with a new graph, where the one in use could not start.

        Raises:
            ExceptionGroup: it had started, or there is none before.
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
    def _patience(self) -> float:
        return float(self._loaded.system.shutdown_timeout) + GRACE_SECONDS

    @property
    def _stops(self) -> tuple[signal.Signals, ...]:
        return signals.STOPS if self._settings.worker_id is None else (signal.SIGTERM,)

    def _listen(self) -> None:
        listener = signals.Listener(
            asyncio.get_running_loop(),
            {
                **{number: partial(self._stop, number) for number in self._stops},
                signal.SIGQUIT: partial(self._stop_at_once, signal.SIGQUIT),
                **dict.fromkeys(signals.RELOADS, self._reload_asked.set),
                signal.SIGUSR1: self._flush,
                signal.SIGCONT: lambda: log_state(self._graph, self._log),
            },
            self._hear,
        )
        self._watchdog.each_second = listener.pass_on

    def _hear(self, number: int) -> None:
        """Set the deadline when the signal comes: a stage that blocks the loop keeps it from ever turning."""
        if number == signal.SIGQUIT or (number in self._stops and self._is_told_to_stop and self._is_alone):
            self._watchdog.end_within(GRACE_SECONDS)
        elif number in self._stops and not self._is_told_to_stop:
            self._is_told_to_stop = True
            self._watchdog.end_within(self._patience)

    @property
    def _is_alone(self) -> bool:
        """Whether no supervisor tells it; a service manager tells both, and so does the former: one order."""
        return self._settings.worker_id is None

    def _stop(self, number: signal.Signals) -> None:
        if not self._ending:
            self._ending = True
            self._graph.request_stop()
            self._watchdog.end_within(self._patience)  # a reload meanwhile may have forgiven the signal's
            self._log.info("received graceful stop (%s)", number.name)
        elif self._is_alone:
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
    """Say why a graph could not run."""
    for each in failure.exceptions if isinstance(failure, ExceptionGroup) else (failure,):
        is_expected = each.is_expected if isinstance(each, StartError) else isinstance(each, LogpipeError)
        log.critical("cannot run: %s", each, exc_info=None if is_expected else (each.__cause__ or each))
