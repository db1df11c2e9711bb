"""The rows of the matrix: a fault, what must become of it, and the function that shows it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.faults.trial import Lab

_MODULES: Final = (
    "crashes",
    "disks",
    "stored",
    "process",
    "commands",
    "rotation",
    "content",
    "discovery",
    "kafka",
    "network",
    "outputs",
    "http",
    "forward",
    "nodes",
    "peers",
    "kubernetes",
)


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        number: the row's, in the order of the matrix in docs/reliability.md.
        fault: what happens, in a few words.
        show: makes it happen and audits it; None for a row that waits.
        waits_for: what logpipe does not have yet, for such a row, or for the part of it that is not shown.
    """

    number: int
    fault: str
    show: Callable[[Lab], None] | None = None
    waits_for: str = ""


_rows: dict[int, Row] = {}


def row(number: int, fault: str, *, waits_for: str = "") -> Callable[[Callable[[Lab], None]], Callable[[Lab], None]]:
    """Enter the decorated function as a row."""

    def enter(show: Callable[[Lab], None]) -> Callable[[Lab], None]:
        assert number not in _rows, f"two rows {number}"
        _rows[number] = Row(number, fault, show, waits_for)
        return show

    return enter


def waiting(number: int, fault: str, *, waits_for: str) -> None:
    """Enter a row that can't be shown yet."""
    assert number not in _rows, f"two rows {number}"
    _rows[number] = Row(number, fault, None, waits_for)


def rows() -> list[Row]:
    """Return all rows, by number."""
    for module in _MODULES:
        importlib.import_module(f"tests.faults.rows.{module}")
    return [_rows[number] for number in sorted(_rows)]
