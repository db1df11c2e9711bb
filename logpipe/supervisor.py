"""Processes: loads the configuration, then runs one worker here, or several in processes of their own.

A single worker needs no process above it; with more, this process starts them, starts them again when they die, and
passes signals on. It never imports a plugin to run it.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from logpipe.config.compat import Rewrite
from logpipe.config.diagnostic import Diagnostic, Position, Report, error
from logpipe.config.element import Element
from logpipe.config.parser import parse_file
from logpipe.config.render import render
from logpipe.engine import malloc
from logpipe.engine.effective import show
from logpipe.engine.graph import Graph, read_system
from logpipe.engine.log import LogDiagnostics, set_up
from logpipe.engine.system import SystemOptions
from logpipe.errors import ConfigError, LogpipeError
from logpipe.registry import Registry, UnknownPluginError

INCLUDE_DIR: Final = "/etc/fluent/conf.d"
"""Read after the configuration, as fluentd does since 1.19."""

UNRECOVERABLE: Final = 2
"""A worker's exit status that starting it again would only repeat; fluentd's number."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line asks for."""

    config: Path
    arguments: tuple[str, ...] = ()
    plugin_dirs: tuple[Path, ...] = ()
    log_path: Path | None = None
    log_level: str | None = None
    inline: str | None = None
    dialect: Literal["v0", "v1"] = "v1"
    file_type: str = "guess"
    strict: bool = False
    strict_values: bool = False
    compat: str = ""
    encoding: str = "utf-8"
    without_source: bool = False
    workers: int | None = None
    worker_id: int | None = None
    no_supervisor: bool = False
    daemon: Path | None = None
    user: str | None = None
    group: str | None = None
    umask: int = 0o077
    load_path: tuple[str, ...] = ()
    require: tuple[str, ...] = ()
    ignored_flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` found in one configuration."""

    diagnostics: list[Diagnostic]
    rewrites: list[Rewrite]
    """The parameters of 0.12 that are read as others."""

    @property
    def errors(self) -> int:
        """How many keep it from running."""
        return sum(diagnostic.severity == "error" for diagnostic in self.diagnostics)

    @property
    def warnings(self) -> int:
        """How many do not."""
        return len(self.diagnostics) - self.errors


def load(settings: Settings, report: Report, *, env: Mapping[str, str] | None = None) -> Element:
    """Return the configuration's tree; mistakes go to `report`."""
    return parse_file(
        settings.config,
        report=report,
        dialect=settings.dialect,
        inline=(settings.inline or "").replace("\\n", "\n"),
        env=os.environ if env is None else env,
        file_type=settings.file_type,
        encoding=settings.encoding,
        include_dir=os.environ.get("FLUENT_CONF_INCLUDE_DIR", INCLUDE_DIR),
        worker_id="" if settings.worker_id is None else str(settings.worker_id),
    )


def check(settings: Settings, *, env: Mapping[str, str] | None = None, registry: Registry | None = None) -> Checked:
    """Build the graph of a configuration without touching the world, and return what there is to say about it.

    What plugins log about their settings meanwhile is a warning, too.
    """
    checked = Checked([], [])
    report = checked.diagnostics.append
    root = load(settings, report, env=env)
    log = logging.getLogger("logpipe.check")
    log.propagate = False
    log.handlers = [LogDiagnostics(report, Position(str(settings.config)))]
    registry = registry or _registry(settings, log, report)
    if not checked.errors:
        with suppress(ConfigError):  # its diagnostics were reported
            checked.rewrites.extend(_graph(settings, root, registry, report, log).rewrites)
    return checked


def _registry(settings: Settings, log: logging.Logger, report: Report) -> Registry:
    try:
        return Registry(settings.plugin_dirs, log=log)
    except UnknownPluginError as problem:
        report(error("unreadable-plugin", str(problem), Position(str(settings.config)), problem.hint))
    return Registry(log=log)


def effective(settings: Settings, report: Report, *, defaults: bool = False) -> str:
    """Return the configuration as it is read, with includes in place and secrets masked."""
    registry = _registry(settings, logging.getLogger("logpipe"), report)
    return show(load(settings, report), registry, defaults=defaults)


def run(settings: Settings) -> int:
    """Run until a signal ends it; returns the exit status: 0 after a signal, 1 for a bad configuration."""
    gc.disable()  # until malloc.tune: start-up makes no garbage worth looking for
    os.umask(settings.umask)
    sys.path[:0] = settings.load_path
    found: list[Diagnostic] = []
    root = load(settings, found.append)
    system = read_system(root, lambda _diagnostic: None)
    log = _set_up_log(settings, system)
    if settings.daemon is not None:
        _detach(settings.daemon)
    _drop_privileges(settings)
    for flag in settings.ignored_flags:
        log.warning("%s has no effect on logpipe", flag)
    workers = settings.workers or system.workers
    if workers > 1 and settings.worker_id is None and not settings.no_supervisor:
        return asyncio.run(_supervise(settings, system, workers, log))
    return _work(settings, root, found, log)


def _set_up_log(settings: Settings, system: SystemOptions) -> logging.Logger:
    path = settings.log_path or (Path(system.log.path) if system.log.path else None)
    return set_up(
        level=settings.log_level or system.log_level,
        path=path,
        shape=system.log.format,
        time_format=system.log.time_format,
        worker=settings.worker_id,
    )


def _work(settings: Settings, root: Element, found: list[Diagnostic], log: logging.Logger) -> int:
    """Build the graph and run it here."""
    try:
        for name in settings.require:
            importlib.import_module(name)
        registry = Registry(settings.plugin_dirs, log=log)
        graph = _build(settings, root, registry, found, log)
    except (ConfigError, UnknownPluginError, ImportError) as problem:
        if not isinstance(problem, ConfigError):
            print(f"logpipe: error: {problem}", file=sys.stderr)  # noqa: T201 - the terminal is where the user looks
        return 1 if settings.worker_id is None else UNRECOVERABLE
    malloc.tune()
    log.info("starting logpipe pid=%d config=%s", os.getpid(), settings.config)
    try:
        _runner().run(_run_graph(graph, log))
    except ExceptionGroup as group:
        for failure in group.exceptions:
            log.critical("cannot run: %s", failure, exc_info=None if isinstance(failure, LogpipeError) else failure)
        return 1 if settings.worker_id is None else UNRECOVERABLE
    log.info("logpipe stopped")
    return 0


def _build(
    settings: Settings, root: Element, registry: Registry, found: list[Diagnostic], log: logging.Logger
) -> Graph:
    """Build the graph, and say everything there is to say about the configuration."""
    try:
        if any(diagnostic.severity == "error" for diagnostic in found):
            raise ConfigError(found)
        graph = _graph(settings, root, registry, found.append, log)
        if settings.strict and found:
            raise ConfigError(found)
    finally:
        for diagnostic in found:
            if diagnostic.severity == "error" or settings.strict:
                print(render(diagnostic), file=sys.stderr)  # noqa: T201 - the terminal is where the user looks
            else:
                log.warning("%s", diagnostic)
    return graph


def _graph(settings: Settings, root: Element, registry: Registry, report: Report, log: logging.Logger) -> Graph:
    return Graph.build(
        root,
        registry=registry,
        report=report,
        log=log,
        worker_id=settings.worker_id or 0,
        workers=settings.workers,
        with_sources=not settings.without_source,
        strict_values=settings.strict_values,
        compat=settings.compat,
    )


def _runner() -> asyncio.Runner:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


async def _run_graph(graph: Graph, log: logging.Logger) -> None:
    """Run the graph with the signals of a worker."""
    loop = asyncio.get_running_loop()
    asked = 0

    def stop(name: str) -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            log.warning("received %s again: stopping at once, without delivering what is left", name)
            graph.abort()
            return
        log.info("received graceful stop (%s)", name)
        graph.request_stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number.name)
    loop.add_signal_handler(signal.SIGUSR1, graph.flush)
    await graph.run()


async def _supervise(settings: Settings, system: SystemOptions, workers: int, log: logging.Logger) -> int:
    """Run the workers as processes, and start each again when it dies."""
    processes: dict[int, asyncio.subprocess.Process] = {}
    stopping = asyncio.Event()
    status = 0

    def pass_on(number: int) -> None:
        if number in {signal.SIGTERM, signal.SIGINT}:
            stopping.set()
        for process in processes.values():
            if process.returncode is None:
                process.send_signal(signal.SIGTERM if number == signal.SIGINT else number)

    async def keep(worker_id: int) -> None:
        nonlocal status
        while not stopping.is_set():
            command = (sys.executable, "-m", "logpipe", *settings.arguments, "--under-supervisor", str(worker_id))
            processes[worker_id] = process = await asyncio.create_subprocess_exec(*command)
            code = await process.wait()
            if code == UNRECOVERABLE:
                status = UNRECOVERABLE
                pass_on(signal.SIGTERM)
            elif not stopping.is_set():
                log.error("worker #%d ended unexpectedly with status %d; it starts again", worker_id, code)
                await asyncio.sleep(max(1.0, float(system.restart_worker_interval)))

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        loop.add_signal_handler(number, pass_on, number)
    async with asyncio.TaskGroup() as group:
        for worker_id in range(workers):
            group.create_task(keep(worker_id), name=f"worker.{worker_id}")
    return status


def _detach(pid_file: Path) -> None:
    """Go on in the background, and leave the process id in a file."""
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    pid_file.write_text(f"{os.getpid()}\n")


def _drop_privileges(settings: Settings) -> None:
    import grp  # noqa: PLC0415 - only with --user and --group
    import pwd  # noqa: PLC0415

    if settings.group:
        os.setgid(grp.getgrnam(settings.group).gr_gid)
    if settings.user:
        account = pwd.getpwnam(settings.user)
        os.initgroups(settings.user, account.pw_gid)
        os.setuid(account.pw_uid)
