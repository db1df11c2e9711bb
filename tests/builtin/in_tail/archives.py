"""Logs that are rotated and compressed, for the tests of `read_compressed_rotated`."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

ON = "read_compressed_rotated true"
LONG_AGO = 1_466_000_000


def compress(path: Path) -> Path:
    """Compress a file with gzip(1), which leaves it its time."""
    subprocess.run(["gzip", path], check=True)
    return path.with_name(path.name + ".gz")


def lines(name: str, count: int) -> list[str]:
    return [f"{name}, line number {number:06}, with some text" for number in range(count)]


def text(*several: list[str]) -> str:
    return "".join(f"{line}\n" for some in several for line in some)


async def leave(run: Any, count: int) -> None:
    """Wait until exactly so many lines were accepted, and stop."""
    await run.lines(count)
    assert len(run.host.lines) == count
