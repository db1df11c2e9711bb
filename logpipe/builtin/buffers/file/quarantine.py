"""Copies damaged parts into the folder `corrupt`, with a report, before the rest is delivered and deleted."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from logpipe import Time
from logpipe.builtin.buffers.file.salvage import Damage
from logpipe.durable import Disk, fault

CORRUPT: Final = "corrupt"
"""The name of the folder beside the chunks."""

MOST_COPIED: Final = 16 << 20
"""The most damaged bytes that are copied; with more, the whole file is moved after its delivery."""


def copy_damages(disk: Disk, folder: Path, path: Path, damages: Sequence[Damage], *, saved: int, now: Time) -> bool:
    """Write a file's damaged parts and a report to `folder`; returns whether both were written.

    Repeating it after a crash replaces both. Without disk space only the report, or nothing, is written.
    """
    fault("buffer.damaged")
    size = sum(damage.end - damage.start for damage in damages)
    try:
        disk.make_folder(folder)
        copied = size <= MOST_COPIED
        if copied:
            disk.replace(folder / f"{path.name}.damaged", _read(path, damages))
        report = _report(path, damages, saved=saved, now=now, copied=copied)
        disk.replace(folder / f"{path.name}.json", [report])
    except OSError:
        return False
    fault("buffer.reported")
    return copied


def _read(path: Path, damages: Sequence[Damage]) -> list[bytes]:
    with path.open("rb") as file:
        pieces: list[bytes] = []
        for damage in damages:
            try:
                pieces.append(os.pread(file.fileno(), damage.end - damage.start, damage.start))
            except OSError:  # the part is damaged because it is unreadable
                pieces.append(b"")
    return pieces


def _report(path: Path, damages: Sequence[Damage], *, saved: int, now: Time, copied: bool) -> bytes:
    known = [damage.lost for damage in damages if damage.lost is not None]
    report: dict[str, Any] = {
        "file": str(path),
        "found": datetime.fromtimestamp(now / 1_000_000_000, UTC).isoformat(),
        "moved": f"{path.name}.damaged" if copied else path.name,
        "records_saved": saved,
        "records_lost": sum(known),
        "records_lost_is_exact": len(known) == len(damages),
        "damages": [damage._asdict() for damage in damages],
    }
    return orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def move(disk: Disk, folder: Path, *paths: Path) -> None:
    """Move files to `folder`; missing ones are skipped.

    Raises:
        OSError: one cannot be moved.
    """
    disk.make_folder(folder)
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            disk.move(path, folder / path.name)
