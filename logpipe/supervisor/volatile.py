"""Warns about buffers and dead letters in folders that a restart of the machine empties."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from logpipe.config.diagnostic import Position, Report, warning
from logpipe.engine.running.graph import Graph

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
