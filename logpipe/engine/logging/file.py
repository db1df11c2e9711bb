"""The log's file: written to by several processes, rotated by one of them or by another program.

Names and rules are those of Ruby's Logger, which fluentd writes its log with: `PATH.0` is the newest of numbered
generations, `PATH.20261129` what a day, a week or a month has written that ended on that date.
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal, TextIO, TypeAlias

from logpipe.plugin import Files

Age: TypeAlias = Literal["daily", "weekly", "monthly"] | int
"""How long one file is written to, or how many files are kept."""

PERIODS: Final = ("daily", "weekly", "monthly")
_KEPT: Final = 7
_SIZE: Final = 1 << 20
# compat: logger/log_device.rb, what the one is where only the other is given
_MOST_OF_ONE_DATE: Final = 100
_NOT_ROTATED: Final = "the log cannot be rotated and goes on in the same file: %s"


def rotation_age(text: str) -> Age:
    """Return `rotate_age`.

    Raises:
        ValueError: it is none.
    """
    match text:
        case "daily" | "weekly" | "monthly":
            return text
    try:
        age = int(text)
    except ValueError:
        age = -1
    if age < 0:
        raise ValueError(f"{text!r} is no age: write daily, weekly, monthly or how many files to keep")
    return age


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a new file is begun."""

    age: Age | None = None
    size: int | None = None

    def __bool__(self) -> bool:
        return self.age is not None or self.size is not None

    @property
    def kept(self) -> int:
        """How many files are kept, the current one included; 0 for all, and no rotation by size."""
        return _KEPT if not isinstance(self.age, int) else self.age

    @property
    def limit(self) -> int:
        """Bytes after which a new file is begun."""
        return self.size if self.size is not None else _SIZE


NEVER: Final = Rotation()


class LogFile(logging.StreamHandler[TextIO]):
    """Appends to a file.

    Args:
        path: the file; its folder is made.
        files: makes them.
        rotation: when a new file is begun; devices have none.
        owner: user and group that the file is given to.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(
        self, path: Path, files: Files, rotation: Rotation = NEVER, owner: tuple[int, int] | None = None
    ) -> None:
        self.path = path.absolute()
        self._files = files
        self._owner = owner
        self._failed = False
        stream = self._opened()
        found = os.fstat(stream.fileno())
        self._rotation = rotation if stat.S_ISREG(found.st_mode) else Rotation()
        self._is_by_date = self._rotation.age in PERIODS
        self._until = _end_of_period(found.st_mtime, rotation.age)
        super().__init__(stream)

    def _opened(self) -> TextIO:
        if not self.path.parent.is_dir():
            self._files.make_folder(self.path.parent)
            if self._owner is not None:
                os.chown(self.path.parent, *self._owner)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY
        descriptor = self._files.open(self.path, flags)  # a FIFO that nobody reads must not stop us
        os.set_blocking(descriptor, True)
        if self._owner is not None and os.geteuid() == 0 and stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fchown(descriptor, *self._owner)
        return os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")

    def reopen(self) -> None:
        """Go on in the file of the name, where another program has renamed the one that was opened.

        Raises:
            OSError: it cannot be written; the file that is open is still written to.
        """
        old = self.setStream(self._opened())
        if old is not None:
            old.close()

    def close(self) -> None:
        """Close the file."""
        self.acquire()
        try:
            self.stream.close()
        finally:
            self.release()
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a message, to a new file where it is time for one."""
        if self._rotation and self._is_due():
            try:
                self._rotate()
                self._failed = False
            except OSError as problem:
                if not self._failed:
                    self._failed = True
                    warn = logging.LogRecord(record.name, logging.WARNING, __file__, 0, _NOT_ROTATED, (problem,), None)
                    super().emit(warn)
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say once that a message could not be written, on a disk that is full for example."""
        del record
        if not self._failed:
            self._failed = True
            print(f"logpipe: {self.path}: the log cannot be written: {sys.exc_info()[1]}", file=sys.stderr)  # noqa: T201

    def _is_due(self) -> bool:
        if self._is_by_date:
            return time.time() >= self._until
        return self._rotation.kept > 0 and os.fstat(self.stream.fileno()).st_size > self._rotation.limit

    def _rotate(self) -> None:
        """Rename the file unless another process has done so, and go on in a new one."""
        now = time.time()
        self._until = _end_of_period(now, self._rotation.age)
        fcntl.flock(self.stream.fileno(), fcntl.LOCK_EX)  # ends with the descriptor, which reopen closes
        try:
            if os.path.samestat(os.fstat(self.stream.fileno()), self.path.stat()):
                if self._is_by_date:
                    self.path.rename(self._name_of(now))
                else:
                    self._shift()
        except FileNotFoundError:
            pass  # another program has renamed it
        except OSError:
            fcntl.flock(self.stream.fileno(), fcntl.LOCK_UN)
            raise
        self.reopen()

    def _shift(self) -> None:
        for number in range(self._rotation.kept - 3, -1, -1):
            with suppress(FileNotFoundError):
                self._numbered(number).rename(self._numbered(number + 1))
        self.path.rename(self._numbered(0))

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _name_of(self, now: float) -> Path:
        name = f"{self.path.name}.{_start_of_period(now, self._rotation.age) - timedelta(days=1):%Y%m%d}"
        others = (f"{name}.{number}" for number in range(1, _MOST_OF_ONE_DATE))
        free = next((each for each in (name, *others) if not self.path.with_name(each).exists()), name)
        return self.path.with_name(free)


def _start_of_period(now: float, age: Age | None) -> datetime:
    """Return the local midnight at which the day, the week (from Sunday on) or the month began."""
    today = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)  # noqa: DTZ006 - local
    match age:
        case "weekly":
            return today - timedelta(days=today.isoweekday() % 7)
        case "monthly":
            return today.replace(day=1)
    return today


def _end_of_period(now: float, age: Age | None) -> float:
    """Return the local midnight at which the period ends, in seconds since the epoch."""
    start = _start_of_period(now, age)
    match age:
        case "weekly":
            return (start + timedelta(days=7)).timestamp()
        case "monthly":
            return (start + timedelta(days=32)).replace(day=1).timestamp()
    return (start + timedelta(days=1)).timestamp()
