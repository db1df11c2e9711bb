"""A configuration as it was read, and the log that it asks for."""

from __future__ import annotations

import errno
import logging
from dataclasses import dataclass, field
from pathlib import Path

from logpipe.config.diagnostic import ConfigError, Diagnostic
from logpipe.config.element import Element
from logpipe.engine.building.explain import show
from logpipe.engine.logging.file import LogFile, Rotation
from logpipe.engine.logging.repeats import Repeats
from logpipe.engine.logging.setup import set_up
from logpipe.engine.running.graph import Graph, read_system
from logpipe.engine.system import SystemOptions
from logpipe.errors import LogpipeError
from logpipe.plugin import Files
from logpipe.registry import Registry
from logpipe.supervisor.checking import make_graph, registry_of
from logpipe.supervisor.daemon import Account
from logpipe.supervisor.settings import Settings, load
from logpipe.supervisor.source_only import PLACE, SourceOnly


@dataclass(slots=True)
class Loaded:
    """A configuration and its diagnostics."""

    root: Element
    system: SystemOptions
    found: list[Diagnostic] = field(default_factory=list)
    registry: Registry | None = None
    """What its plugins are found in; None before `build`."""
    is_source_only: bool = False
    """Whether the graph that was built runs its sources only."""

    @classmethod
    def read(cls, settings: Settings) -> Loaded:
        """Read the configuration; its errors are in `found`."""
        found: list[Diagnostic] = []
        root = load(settings, found.append)
        return cls(root, read_system(root, lambda _diagnostic: None), found)  # building the graph reports its errors

    def shown(self) -> str:
        """Return its text, secrets masked; to be called behind `build`."""
        assert self.registry is not None  # noqa: S101 - build has set it
        return show(self.root, self.registry)

    def _note(self, diagnostic: Diagnostic) -> None:
        if diagnostic.severity == "error" or diagnostic.position != PLACE:
            self.found.append(diagnostic)

    def build(self, settings: Settings, log: logging.Logger) -> Graph:
        """Build the graph to run; its diagnostics are added to those of reading.

        Raises:
            ConfigError: it cannot run; the reasons are in `found`.
        """
        self.registry = registry = registry_of(settings, self.found.append, log)
        if any(diagnostic.severity == "error" for diagnostic in self.found):
            raise ConfigError(self.found)
        both = SourceOnly(self.root, self.system)
        self.is_source_only = bool(self.system.with_source_only) and not settings.ends_source_only
        sources = both.sources() if self.is_source_only else None  # before sections are read, which spells them anew
        graph = make_graph(settings, both.written(ends=settings.ends_source_only), registry, self._note, log)
        if sources is not None:  # what is written is good
            graph = make_graph(settings, sources, registry, lambda _diagnostic: None, log)
        if settings.strict and any(diagnostic.severity != "hint" for diagnostic in self.found):
            raise ConfigError(self.found)
        return graph


def set_up_log(settings: Settings, system: SystemOptions, account: Account | None = None) -> logging.Logger:
    """Direct the log to the destination of the command line, else of `<system>`; a file is given to the account.

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
        forced_traces=system.log.forced_stacktrace_level,
        worker=settings.worker_id,
    )


def _log_file(path: Path, system: SystemOptions, account: Account | None) -> LogFile:
    files = Files(system.file_permission, system.dir_permission)
    rotation = Rotation(system.log.rotate_age, system.log.rotate_size)
    return LogFile(path, files, rotation, None if account is None else (account.uid, account.gid))
