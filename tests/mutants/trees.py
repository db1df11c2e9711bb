"""Copies of the project, in which mistakes are planted: the working tree itself is never changed."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PLACE: Final = ROOT / "build/mutants"
_numbers: Final = itertools.count(time.time_ns() // 1_000_000_000 - 1_000_000_000)
"""Times for files, none of which is given twice."""


class Tree:
    """One copy."""

    def __init__(self, name: str) -> None:
        self.folder = PLACE / name
        files = _files()
        for file in files:
            _copy(ROOT / file, self.folder / file)
        for file in self.folder.rglob("*.py"):
            if file.relative_to(self.folder) not in files and not _is_cache(file.relative_to(self.folder)):
                file.unlink()

    def write(self, file: Path, content: bytes) -> None:
        """Put something into a file; its time is one of its own, so that no older bytecode is taken for the file's."""
        path = self.folder / file
        path.write_bytes(content)
        seconds = next(_numbers)
        os.utime(path, (seconds, seconds))

    @property
    def environment(self) -> dict[str, str]:
        """What makes a Python import from here, whatever is installed."""
        paths = [self.folder, *sorted(self.folder.glob("plugins/*"))]
        written = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {**written, "PYTHONPATH": os.pathsep.join(map(str, paths))}


def _files() -> set[Path]:
    """Return what git has, or would have."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return {Path(name) for name in listed if name and (ROOT / name).is_file()}


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    there = target.stat() if target.exists() else None
    here = source.stat()
    if there is None or (there.st_size, there.st_mtime_ns) != (here.st_size, here.st_mtime_ns):
        shutil.copy2(source, target)


def _is_cache(file: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in file.parts)
