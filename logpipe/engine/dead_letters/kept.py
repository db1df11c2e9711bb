"""What lies among a worker's dead letters is said at the start and at the stop, with its number. It blocks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from logpipe.engine.dead_letters.limits import Log, files_in

MOST_READ: Final = 64 << 20
"""Bytes that are read to count events: a start does not wait for the counting of gigabytes."""
# plugin/buffer.rb, `backup`: the chunk's id
_BACKUP: Final = re.compile(r"[0-9a-f]{32}\.log")
_BLOCK: Final = 1 << 20


def say_kept(folder: Path, config: str, log: Log) -> None:
    """Say how many dead letters, and chunks that fluentd gave up, are in a worker's folder; nothing where none are.

    Raises:
        OSError: the folder cannot be read.
    """
    files = [file.path for file in files_in(folder)]
    if files:
        count, is_all = _count(files)
        log.warning(
            "%s%d dead letters stay in %d files in %s: no output or filter could handle them. To deliver them: logpipe "
            "buffer replay -c %s",
            "" if is_all else "more than ",
            count,
            len(files),
            folder,
            config,
        )
    backups = sum(1 for path in folder.glob("*/*.log") if _BACKUP.fullmatch(path.name)) if folder.is_dir() else 0
    if backups:
        log.warning(
            "%d chunks that fluentd has given up stay in %s. To deliver them: logpipe buffer replay -c %s --tag TAG",
            backups,
            folder,
            config,
        )


def _count(paths: list[Path]) -> tuple[int, bool]:
    """Return the number of lines in files, and whether all of them were read."""
    count, left = 0, MOST_READ
    for path in paths:
        with path.open("rb") as file:
            while left > 0 and (block := file.read(_BLOCK)):
                count += block.count(b"\n")
                left -= len(block)
    return count, left > 0
