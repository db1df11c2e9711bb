"""Builds the graph of a configuration, to check or to run it, and collects the diagnostics.

`check` also warns about buffers and dead letters in folders that a restart of the machine empties.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from logpipe.config.compat import Rewrite
from logpipe.config.diagnostic import ConfigError, Diagnostic, Position, Report, error, warning
from logpipe.config.element import Element
from logpipe.engine.building.explain import show
from logpipe.engine.building.workers import first_workers
from logpipe.engine.logging.setup import LogDiagnostics
from logpipe.engine.running.graph import Graph
from logpipe.registry import Registry, innermost_place, reason
from logpipe.supervisor.settings import Settings, load

if TYPE_CHECKING:
    from logpipe.engine.running.trying import Tried

IN_VALUES: Final = frozenset({"bad-code", "bad-escape", "bad-json", "reserved-name"})
"""Errors that leave the sections intact, so that the rest can still be checked."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` found in one configuration."""

    diagnostics: list[Diagnostic]
    rewrites: list[Rewrite]
    """The parameters of 0.12 that are read as today's."""

    @property
    def errors(self) -> int:
        """The number of errors; with any, it cannot run."""
        return sum(diagnostic.severity == "error" for diagnostic in self.diagnostics)

    @property
    def warnings(self) -> int:
        """The number of warnings."""
        return sum(diagnostic.severity == "warning" for diagnostic in self.diagnostics)


def check(settings: Settings, *, env: Mapping[str, str] | None = None, registry: Registry | None = None) -> Checked:
    """Build the graph of a configuration without side effects, and return the diagnostics.

    Warnings that plugins log meanwhile are included.
    """
    found: dict[Diagnostic, None] = {}  # several workers have mostly the same ones
    unreadable: set[tuple[str, int]] = set()  # further problems of a value that could not be read are not reported
    rewrites: list[Rewrite] = []

    def report(diagnostic: Diagnostic) -> None:
        place = diagnostic.position
        if (place.file, place.line) not in unreadable:
            found[diagnostic] = None

    root = load(settings, report, env=env)
    log = logging.getLogger("logpipe.check")
    log.propagate = False
    log.handlers = [LogDiagnostics(report, Position(str(settings.config)))]
    registry = registry or registry_of(settings, report, log)
    unreadable.update((each.position.file, each.position.line) for each in found if each.severity == "error")
    is_whole = all(each.code in IN_VALUES for each in found if each.severity == "error")
    for worker_id in first_workers(root) if is_whole else ():
        with suppress(ConfigError):  # its diagnostics were reported
            graph = make_graph(replace(settings, worker_id=worker_id), root, registry, report, log)
            rewrites = rewrites or graph.rewrites
            lint_volatile(graph, settings.config, report)
    files = {file: place for place, file in enumerate(dict.fromkeys(each.position.file for each in found))}
    in_order = sorted(found, key=lambda each: (files[each.position.file], each.position.line, each.position.column))
    return Checked(in_order, rewrites)


def try_connecting(
    settings: Settings, *, env: Mapping[str, str] | None = None, registry: Registry | None = None
) -> list[Tried]:
    """Return what came of each peer that the outputs of a configuration send to; `check` has found no errors in it."""
    from logpipe.engine.running.trying import try_peers  # noqa: PLC0415 - only who asks for it needs it

    log = logging.getLogger("logpipe.check")
    log.propagate, log.handlers = False, [logging.NullHandler()]
    root = load(settings, _ignore, env=env)
    registry = registry or registry_of(settings, _ignore, log)
    found: dict[tuple[Position, str], Tried] = {}  # what stands in no <worker> is there for each of them
    for worker_id in first_workers(root):
        graph = make_graph(replace(settings, worker_id=worker_id), root, registry, _ignore, log)
        for tried in asyncio.run(try_peers(graph)):
            found.setdefault((tried.place, tried.peer), tried)
    return sorted(found.values(), key=lambda tried: (tried.place.file, tried.place.line))


def _ignore(_diagnostic: Diagnostic) -> None:
    """Do nothing: `check` has reported it."""


def effective(settings: Settings, report: Report, *, defaults: bool = False) -> str:
    """Return the configuration as it is read, with includes in place and secrets masked."""
    registry = registry_of(settings, report, logging.getLogger("logpipe"))
    return show(load(settings, report), registry, defaults=defaults)


def registry_of(settings: Settings, report: Report, log: logging.Logger | None = None) -> Registry:
    """Import the modules of -r, also from the folders of -I, and return the registry; failures are reported."""
    sys.path[:0] = [path for path in settings.load_path if path not in sys.path]
    place = Position(str(settings.config))
    for name in settings.require:
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as problem:  # noqa: BLE001 - whatever its authors have written may fail
            where = "" if isinstance(problem, ModuleNotFoundError) else f" ({innermost_place(problem)})"
            hint = "name a module that Python finds; -I PATH adds a folder to look in"
            report(error("not-importable", f"-r {name}: {reason(problem)}{where}", place, hint))
    registry = Registry(settings.plugin_dirs, log=log)
    for each in registry.broken:
        report(error("unreadable-plugin", str(each), place, each.hint))
    return registry


def make_graph(settings: Settings, root: Element, registry: Registry, report: Report, log: logging.Logger) -> Graph:
    """Build the graph.

    Raises:
        ConfigError: it cannot run; the reasons were reported.
    """
    graph = Graph.build(
        root,
        registry=registry,
        report=report,
        log=log,
        worker_id=settings.worker_id or 0,
        with_sources=not settings.without_source,
        strict_values=settings.strict_values,
        compat=settings.compat,
        config_path=settings.config,
    )
    graph.command_line = {
        "config_path": str(settings.config),
        "pid_file": _text(settings.daemon),
        "plugin_dirs": list(map(str, settings.plugin_dirs)),
        "log_path": _text(settings.log_path),
    }
    return graph


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs", "devtmpfs"})
_ESCAPES: Final = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}


def lint_volatile(graph: Graph, config: Path, report: Report) -> None:
    """Report the file buffers in volatile folders, and dead letters there if an output has a buffer."""
    for (kind, path), owner in graph.world.claims.items():
        if kind.endswith("buffer path") and (why := _why(Path(path))):
            extra = getattr(owner.log, "extra", None) or {}
            message = f"{extra.get('section', owner.plugin_id)}: the buffer {path} is {why}: a restart loses it"
            place = extra.get("place", Position(str(config)))
            report(warning("volatile-folder", message, place, "give path a folder that lasts, /var/lib/logpipe/buffer"))
    folder = graph.world.dead_letters.files.base
    if graph.outlets and (why := _why(folder)):
        message = f"dead letters go to {folder}, which is {why}: a restart loses them"
        hint = "write root_dir /var/lib/logpipe in <system>, or set FLUENT_BACKUP_DIR"
        report(warning("volatile-folder", message, Position(str(config)), hint))


def _why(folder: Path) -> str:
    """Return why a folder is volatile; "" where it is not."""
    real = os.path.realpath(folder)
    if real == "/tmp" or real.startswith("/tmp/"):  # noqa: S108 - only compared
        return "under /tmp"
    within = (mount for mount in _mounts() if real == mount[0] or real.startswith(mount[0].rstrip("/") + "/"))
    _, kind = max(within, default=("", ""), key=lambda mount: len(mount[0]))
    return f"in memory ({kind})" if kind in _IN_MEMORY else ""


def _mounts() -> Iterator[tuple[str, str]]:
    """Yield the mount points of file systems, with their types; later ones cover earlier ones."""
    with suppress(OSError):
        for line in Path("/proc/self/mounts").read_text(errors="replace").splitlines():
            place, kind = line.split()[1:3]
            for escape, char in _ESCAPES.items():
                place = place.replace(escape, char)
            yield place, kind
