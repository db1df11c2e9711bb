"""Processes: loads the configuration, then runs one worker here, or several in processes of their own.

A single worker needs no supervisor; with more, this process starts them, restarts them when they die, and forwards
signals. It never runs a plugin itself.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Final

from logpipe.config.diagnostic import ConfigError, render_all
from logpipe.engine.running import malloc
from logpipe.engine.running.graph import Graph
from logpipe.engine.running.watchdog import Watchdog
from logpipe.engine.system import SystemOptions
from logpipe.errors import LogpipeError
from logpipe.plugin import Files
from logpipe.sockets.handed import left
from logpipe.sockets.inherited import inherited
from logpipe.sockets.kept import LeftOpen, Sockets
from logpipe.sockets.shared import opener
from logpipe.supervisor.checking import Checked, check, effective, registry_of, try_connecting
from logpipe.supervisor.daemon import Account, Daemon
from logpipe.supervisor.loading import Loaded, set_up_log
from logpipe.supervisor.processes import Supervisor, report_started
from logpipe.supervisor.restarting import reap, replace
from logpipe.supervisor.settings import Settings, load
from logpipe.supervisor.worker import GRACE_SECONDS, UNRECOVERABLE, Worker, log_failure

__all__ = ["Checked", "Settings", "check", "effective", "load", "registry_of", "run", "try_connecting"]


def run(settings: Settings) -> int:
    """Run until a signal ends it; returns the exit status: 0 after a signal, 1 for a bad configuration.

    `signals.hold` was called before, and no garbage is collected until `malloc.tune`.
    """
    try:
        return _run(settings)
    except LogpipeError as problem:  # a user's mistake
        print(f"logpipe: error: {problem}", file=sys.stderr)  # noqa: T201 - the terminal is where the user looks
        return UNRECOVERABLE if settings.worker_id is not None else 1


def _run(settings: Settings) -> int:
    is_worker = settings.worker_id is not None
    here, connections = inherited(), left()  # which are for this process id
    if here.is_handed:
        reap()
    loaded = Loaded.read(settings)
    _set_umask(settings, loaded.system)
    account = None if is_worker else Account.find(settings.user, settings.group)
    system = loaded.system
    files = Files(system.file_permission, system.dir_permission)
    daemon = None if settings.daemon is None or is_worker else Daemon(settings.daemon, files, account)
    if settings.no_supervisor and system.workers > 1:
        # compat: supervisor.rb refuses it too
        raise LogpipeError(f"--no-supervisor runs one worker, not {system.workers}: leave it out, or say workers 1")
    is_supervisor = system.workers > 1 and not is_worker
    with daemon.held() if daemon is not None else nullcontext():
        log = set_up_log(settings, system, account)
        graph = None if is_supervisor else _build(settings, loaded, log)
        if graph is None and not (is_supervisor and (daemon is None or _is_usable(settings, loaded, log))):
            return UNRECOVERABLE if is_worker else 1
        if daemon is not None:
            daemon.detach()
        if account is not None:
            account.become()
        for flag in settings.ignored_flags if not is_worker else ():
            log.warning(
                "%s has no effect: plugins are Python packages, and `logpipe gem install NAME` names them", flag
            )
        _set_title(system, settings.worker_id, is_supervisor=is_supervisor)
        started: Callable[[], object] = daemon.started if daemon is not None else bool
        if graph is None:
            for each in connections.values():
                each.drop()  # its workers cannot have them
            supervisor = Supervisor(settings, system, log, started, here)
            status = supervisor.run()
            if supervisor.is_replaced:
                return replace(settings, LeftOpen(supervisor.sockets, []), daemon, log)
            return status
        started = partial(report_started, settings) if is_worker else started
        sockets = Sockets(opener(here), connections)
        status, left_open = _work(settings, loaded, graph, log, started=started, sockets=sockets)
        if left_open is not None:
            return replace(settings, left_open, daemon, log)
        return status


def _set_umask(settings: Settings, system: SystemOptions) -> None:
    """Set the configured umask; without one keep the inherited one, except where fluentd sets 0."""
    umask = system.umask if settings.umask is None else settings.umask
    if umask is None and (settings.daemon is not None or settings.no_supervisor):
        umask = 0  # compat: supervisor.rb and serverengine's daemon.rb
    if umask is not None:
        os.umask(umask)


def _set_title(system: SystemOptions, worker_id: int | None, *, is_supervisor: bool) -> None:
    if system.process_name:
        # compat: supervisor.rb, main_process
        number = "" if worker_id is None else str(worker_id)
        set_title(f"supervisor:{system.process_name}" if is_supervisor else f"worker:{system.process_name}{number}")


def _build(settings: Settings, loaded: Loaded, log: logging.Logger) -> Graph | None:
    """Build the graph and report all diagnostics of the configuration; None where it can't run."""
    try:
        return loaded.build(settings, log)
    except ConfigError:
        return None
    finally:
        keeps = {"error", "warning"} if settings.strict else {"error"}
        for text in render_all([each for each in loaded.found if each.severity in keeps]):
            print(text, file=sys.stderr)  # noqa: T201 - the terminal is where the user looks
        for diagnostic in loaded.found:
            if diagnostic.severity not in keeps:
                log.log(diagnostic.level, "%s", diagnostic)


def _is_usable(settings: Settings, loaded: Loaded, log: logging.Logger) -> bool:
    """Return whether the graph builds, in a forked process: a supervisor loads no plugin."""
    child = os.fork()
    if child == 0:
        os._exit(0 if _build(settings, loaded, log) is not None else 1)
    return os.waitpid(child, 0)[1] == 0


def _work(
    settings: Settings,
    loaded: Loaded,
    graph: Graph,
    log: logging.Logger,
    *,
    started: Callable[[], object],
    sockets: Sockets,
) -> tuple[int, LeftOpen | None]:
    """Run a worker here; returns its exit status, and the sockets for the program that is to take its place, if any."""
    malloc.tune()
    log.info("starting logpipe pid=%d config=%s", os.getpid(), settings.config)
    try:
        with _runner() as runner:
            watchdog = Watchdog(runner.get_loop(), log)
            watchdog.start()
            worker = Worker(settings, loaded, graph, log, watchdog, sockets=sockets, started=started)
            try:
                runner.run(worker.run())
            finally:
                # the runner waits for threads, even for one that hangs; after a signal the deadline is already set
                watchdog.end_within(float(loaded.system.shutdown_timeout) + GRACE_SECONDS)
    except ExceptionGroup as failure:
        log_failure(log, failure)
        return 1 if settings.worker_id is None else UNRECOVERABLE, None
    if worker.left_open is not None:
        watchdog.stop()
    log.info("logpipe stopped")
    return 0, worker.left_open


def _runner() -> asyncio.Runner:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


_PR_SET_NAME: Final = 15
_ARG_START: Final = 48
"""The field of /proc/PID/stat with the address where the command line begins; the next one has its end."""


def set_title(title: str) -> None:
    """Set the title that `ps` and `top` show, cut to the length of the command line; works on Linux only."""
    text = title.encode("utf-8", "replace").replace(b"\0", b" ")
    with suppress(OSError, ValueError, IndexError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_NAME, ctypes.c_char_p(text), 0, 0, 0)
        # the third field follows the name in parentheses, which may contain anything
        fields = Path("/proc/self/stat").read_bytes().rpartition(b") ")[2].split()
        start, end = int(fields[_ARG_START - 3]), int(fields[_ARG_START - 2])
        room = end - start
        ctypes.memmove(start, text[: room - 1].ljust(room, b"\0"), room)
