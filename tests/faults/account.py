"""The account of a run: every line that was written, and what became of it.

A line says which file it was written to, its number there, and the checksum of that, so that a missing line, an altered
one, one that nobody wrote and one that came twice can all be told.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

_SHOWN: Final = 3
_MOST: Final = 255


class Series:
    """The lines of one file name, through all its generations."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.written = 0
        self.distinct = 0
        self._seen = bytearray()
        self._without_gap = 0

    def next_line(self, *, padding: int = 0) -> str:
        """Return the next line, without its line feed; `padding` is how much longer than needed it is."""
        number = self.written
        self.written += 1  # first, so that a reader can never be ahead
        return _sealed(f"{self.name} {number:08d}{' ' + 'x' * padding if padding else ''}")

    def arrived(self, number: int) -> None:
        """Count a line that came."""
        if number >= len(self._seen):
            self._seen.extend(bytes(max(1024, number + 1 - len(self._seen))))
        times = self._seen[number]
        self.distinct += times == 0
        self._seen[number] = min(_MOST, times + 1)

    def times(self, number: int) -> int:
        """Return how often a line came; 255 stands for more."""
        return self._seen[number] if number < len(self._seen) else 0

    def missing(self) -> Iterable[int]:
        """Yield the numbers of the lines that did not come."""
        return (number for number in range(self.written) if not self.times(number))

    def forget_arrivals(self) -> None:
        """Count from nothing again what comes."""
        self.distinct = self._without_gap = 0
        self._seen.clear()

    @property
    def without_gap(self) -> int:
        """How many lines came from the first one on without one missing."""
        while self.times(self._without_gap):
            self._without_gap += 1
        return self._without_gap

    @property
    def complete(self) -> bool:
        """Whether every line came."""
        return self.distinct >= self.written


@dataclass
class Account:
    """All lines of a run."""

    series: dict[str, Series] = field(default_factory=dict)
    arrived_count: int = 0
    """Lines that came, each time counted."""
    altered: list[str] = field(default_factory=list)
    """What came and was never written so; the first few hundred."""

    def open(self, name: str) -> Series:
        """Return a file's lines; a name has no space in it."""
        return self.series.setdefault(name, Series(name))

    def arrived(self, text: str) -> None:
        """Count a line as it came, without its line feed."""
        self.arrived_count += 1
        found = _unsealed(text)
        series = self.series.get(found[0]) if found else None
        if found is None or series is None or found[1] >= series.written:
            if len(self.altered) < _MOST:
                self.altered.append(text)
            return
        series.arrived(found[1])

    def forget_arrivals(self) -> None:
        """Count from nothing again what comes."""
        self.arrived_count = 0
        self.altered.clear()
        for series in self.series.values():
            series.forget_arrivals()

    @property
    def written(self) -> int:
        """How many lines were written."""
        return sum(series.written for series in self.series.values())

    @property
    def distinct(self) -> int:
        """How many different ones of them came."""
        return sum(series.distinct for series in self.series.values())

    @property
    def duplicates(self) -> int:
        """How many came that had come before."""
        return self.arrived_count - self.distinct - len(self.altered)

    @property
    def missing(self) -> int:
        """How many did not come."""
        return self.written - self.distinct

    @property
    def complete(self) -> bool:
        """Whether every line came."""
        return all(series.complete for series in list(self.series.values()))

    def first_missing(self) -> str:
        """Name the first few lines that did not come."""
        every = (f"{series.name} {number:08d}" for series in self.series.values() for number in series.missing())
        return ", ".join(itertools.islice(every, _SHOWN))


def _sealed(text: str) -> str:
    return f"{text} {zlib.crc32(text.encode()):08x}"


def _unsealed(text: str) -> tuple[str, int] | None:
    """Return the file and the number of a line, None for what is none of ours."""
    body, _, checksum = text.rpartition(" ")
    name, _, rest = body.partition(" ")
    number = rest.partition(" ")[0]
    if checksum != f"{zlib.crc32(body.encode()):08x}" or not number.isdecimal():
        return None
    return name, int(number)
