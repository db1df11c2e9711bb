"""What a process takes, as the kernel tells."""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """A process at one moment."""

    pid: int
    age: float
    """Seconds since it was started."""
    megabytes: float
    """Resident."""
    descriptors: int


def sample(pid: int, *, age: float) -> Sample | None:
    """Look at a process; None if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return None
    resident = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    return Sample(pid, age, int(resident[1]) / 1024, descriptors) if resident else None


def bytes_read(pid: int) -> int:
    """Return how many bytes a process has read in its life, 0 for one that is gone."""
    try:
        return int(Path(f"/proc/{pid}/io").read_text().split()[1])
    except OSError:
        return 0


def catches(pid: int, signal: int) -> bool:
    """Return whether a process has a handler for a signal; one that is starting has none yet."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = re.search(r"^SigCgt:\s+([0-9a-f]+)", status, re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (signal - 1) & 1)


@dataclass(frozen=True)
class Trend:
    """How a figure developed while one process lived."""

    first: float
    """The median of the first third."""
    last: float
    """The median of the last third."""
    per_hour: float
    """The slope of the line through all samples."""

    @property
    def growth(self) -> float:
        """By how much the last third is above the first."""
        return self.last - self.first


def trend(samples: list[tuple[float, float]]) -> Trend:
    """Return the trend of at least three samples, each a moment in seconds and a figure."""
    third = max(1, len(samples) // 3)
    values = [value for _, value in samples]
    slope, _ = statistics.linear_regression([moment for moment, _ in samples], values)
    return Trend(statistics.median(values[:third]), statistics.median(values[-third:]), slope * 3600)
