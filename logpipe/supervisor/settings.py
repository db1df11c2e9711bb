"""The settings of the command line, and the configuration's tree read with them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from logpipe.config.diagnostic import Position, Report
from logpipe.config.element import Element
from logpipe.config.parser import parse_file

INCLUDE_DIR: Final = "/etc/fluent/conf.d"
"""Read after the configuration, as fluentd does since 1.19."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the command line."""

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
    allow_http_include: bool = False
    without_source: bool = False
    ends_source_only: bool = False
    """Whether with_source_only has been ended by a signal."""
    worker_id: int | None = None
    """The number of a worker that a supervisor has started; None for a process without a supervisor."""
    no_supervisor: bool = False
    daemon: Path | None = None
    user: str | None = None
    group: str | None = None
    umask: int | None = None
    """None: the inherited one, or 0 where fluentd sets that."""
    load_path: tuple[str, ...] = ()
    require: tuple[str, ...] = ()
    ignored_flags: tuple[str, ...] = ()
    system: tuple[tuple[str, str, str], ...] = ()
    """What flags set in `<system>`: the flag as given, the parameter (`log.` before one of `<log>`), the value."""


def load(settings: Settings, report: Report, *, env: Mapping[str, str] | None = None) -> Element:
    """Return the configuration's tree; mistakes go to `report`."""
    # compat: supervisor.rb gives a single worker its number too, in all but --no-supervisor
    worker_id = "" if settings.no_supervisor else str(settings.worker_id or 0)
    root = parse_file(
        settings.config,
        report=report,
        dialect=settings.dialect,
        inline=(settings.inline or "").replace("\\n", "\n"),
        env=os.environ if env is None else env,
        file_type=settings.file_type,
        encoding=settings.encoding,
        include_dir=os.environ.get("FLUENT_CONF_INCLUDE_DIR", INCLUDE_DIR),
        worker_id=worker_id,
        fetch=_fetch if settings.allow_http_include else None,
    )
    for flag, name, value in settings.system:
        _set(root, flag, name, value)
    return root


def _set(root: Element, flag: str, name: str, value: str) -> None:
    """Write a flag's value into `<system>`, replacing the one there."""
    place = Position(flag)
    section = root
    for word in ("system", *name.split(".")[:-1]):
        found = next(section.sections(word), None)
        if found is None:
            found = Element(word, position=place, arg_position=place)
            section.elements.append(found)
        section = found
    section.set(name.rpartition(".")[2], value, place)


def _fetch(url: str) -> bytes:
    from logpipe.config import remote  # noqa: PLC0415 - loads http and ssl, which only such an include needs

    return remote.fetch(url)
