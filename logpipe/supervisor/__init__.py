"""Processes: loads the configuration, then runs one worker here, or several in processes of their own.

A single worker needs no process above it; with more, this process starts them, starts them again when they die, and
passes signals on. It never imports a plugin to run it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys

from logpipe.config.render import render
from logpipe.engine import malloc
from logpipe.engine.graph import Graph
from logpipe.engine.watchdog import Watchdog
from logpipe.errors import ConfigError
from logpipe.supervisor.checking import Checked, check, effective
from logpipe.supervisor.daemon import detach, drop_privileges, pid_file_of
from logpipe.supervisor.processes import Supervisor
from logpipe.supervisor.settings import Settings, load
from logpipe.supervisor.worker import GRACE_SECONDS, UNRECOVERABLE, Loaded, Worker, log_failure, set_up_log

__all__ = ["Checked", "Settings", "check", "effective", "load", "run"]


def run(settings: Settings) -> int:
    """Run until a signal ends it; returns the exit status: 0 after a signal, 1 for a bad configuration.

    `signals.hold` was called before.
    """
    gc.disable()  # until malloc.tune: start-up makes no garbage worth looking for
    is_worker = settings.worker_id is not None
    os.umask(settings.umask)
    sys.path[:0] = settings.load_path
    loaded = Loaded.read(settings)
    log = set_up_log(settings, loaded.system)
    workers = settings.workers or loaded.system.workers
    is_supervisor = workers > 1 and not is_worker and not settings.no_supervisor
    graph = None if is_supervisor else _build(settings, loaded, log)
    if graph is None and not is_supervisor:
        return UNRECOVERABLE if is_worker else 1
    if not is_worker:
        if settings.daemon is not None:
            if is_supervisor and not _is_usable(settings, loaded, log):
                return 1
            detach(settings.daemon)
        drop_privileges(settings)
        for flag in settings.ignored_flags:
            log.warning("%s has no effect on logpipe", flag)
    with pid_file_of(settings):
        if graph is None:
            return Supervisor(settings, loaded.system, workers, log).run()
        return _work(settings, loaded, graph, log)


def _build(settings: Settings, loaded: Loaded, log: logging.Logger) -> Graph | None:
    """Build the graph, and say everything there is to say about the configuration; None where it can't run."""
    try:
        return loaded.build(settings, log)
    except ConfigError:
        return None
    finally:
        for diagnostic in loaded.found:
            if diagnostic.severity == "error" or (settings.strict and diagnostic.severity == "warning"):
                print(render(diagnostic), file=sys.stderr)  # noqa: T201 - the terminal is where the user looks
            else:
                log.log(diagnostic.level, "%s", diagnostic)


def _is_usable(settings: Settings, loaded: Loaded, log: logging.Logger) -> bool:
    """Build the graph in a process that leaves nothing behind: a supervisor loads no plugin, nor will it be seen."""
    child = os.fork()
    if child == 0:
        os._exit(0 if _build(settings, loaded, log) is not None else 1)
    return os.waitpid(child, 0)[1] == 0


def _work(settings: Settings, loaded: Loaded, graph: Graph, log: logging.Logger) -> int:
    """Run a worker here."""
    malloc.tune()
    log.info("starting logpipe pid=%d config=%s", os.getpid(), settings.config)
    try:
        with _runner() as runner:
            watchdog = Watchdog(runner.get_loop(), log)
            watchdog.start()
            try:
                runner.run(Worker(settings, loaded, graph, log, watchdog).run())
            finally:
                # a thread of a stage that hangs would be waited for; after a signal the deadline stands already
                watchdog.end_within(float(loaded.system.shutdown_timeout) + GRACE_SECONDS)
    except ExceptionGroup as failure:
        log_failure(log, failure)
        return 1 if settings.worker_id is None else UNRECOVERABLE
    log.info("logpipe stopped")
    return 0


def _runner() -> asyncio.Runner:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)
