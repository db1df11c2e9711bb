"""Log files that trials write, rotate and remove."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.account import Series

Entry = Callable[[str], str]
"""Returns a line of a file, with its line feed, for a text."""


def plain(text: str) -> str:
    """Return a line as it is."""
    return f"{text}\n"


def docker_entry(text: str) -> str:
    """Return a line as docker's json-file driver writes it."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z"
    return f'{{"log":"{text}\\n","stream":"stdout","time":"{now}"}}\n'


class Log:
    """One log that is written, through all its generations.

    Args:
        path: the file itself, not a link to it.
        series: the account of its lines.
        entry: how its lines look.
        rnd: what lines' lengths and where writes part them are drawn from.
    """

    def __init__(
        self, path: Path, series: Series, *, entry: Entry = plain, rnd: random.Random | None = None, append: bool = True
    ) -> None:
        self.path = path
        self.series = series
        self._entry = entry
        self._random = rnd or random.Random(path.name)
        self._mode = "ab" if append else "wb"
        self._generations = itertools.count(1)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open(self._mode, buffering=0)

    def lines(self, count: int, *, padding: int = 120) -> str:
        """Return new lines, padded by chance, which are in the account now and must be written by the caller."""
        paddings = [self._random.randrange(padding + 1) for _ in range(count)]
        return "".join(self._entry(self.series.next_line(padding=padding)) for padding in paddings)

    def write(self, count: int) -> None:
        """Add lines, in two pieces that may part a line."""
        self.write_in_two(self.lines(count).encode())

    def write_in_two(self, data: bytes) -> None:
        """Add bytes, in two pieces."""
        cut = self._random.randrange(len(data) + 1)
        for part in (data[:cut], data[cut:]):
            self.write_bytes(part)

    def write_bytes(self, data: bytes) -> None:
        """Add bytes as they are."""
        self._file.write(data)

    def rename(self, *, late: int = 0) -> Path:
        """Rotate as logrotate and the kubelet do; so many lines still go to the old file, whose path is returned."""
        old = self.path.with_name(f"{self.path.name}.{next(self._generations)}")
        self.path.rename(old)
        self.write(late)
        self.reopen()
        return old

    def reopen(self) -> None:
        """Go on in a file of the log's name, a new one where there is none."""
        self._file.close()
        self._file = self.path.open("ab", buffering=0)

    def copy(self) -> Path:
        """Copy the log as copytruncate does first, and return the copy."""
        return Path(shutil.copy(self.path, self.path.with_name(f"{self.path.name}.{next(self._generations)}")))

    def truncate(self) -> None:
        """Cut the log: only what was read is safe. One not opened to append to goes on after a hole."""
        self._file.truncate(0)

    def close(self) -> None:
        """Write no more."""
        self._file.close()
