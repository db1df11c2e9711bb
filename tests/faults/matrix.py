"""Runs the rows of the matrix and shows a line for each."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from tests.faults.outcome import Impossible, Outcome
from tests.faults.row import Row, rows
from tests.faults.trial import Lab

HEAD: Final = ("row", "fault", "", "in", "out", "twice", "aside", "ledger", "s")
_WIDTH: Final = 60
_SHOWN: Final = 3000


@dataclass(frozen=True)
class Result:
    """What came of a row."""

    row: Row
    verdict: str
    """survived, FAILED, waiting, or skipped where this machine can't make the fault happen."""
    outcome: Outcome
    seconds: float = 0.0
    why: str = ""

    def line(self) -> str:
        """Return it as a line of the table."""
        shown = self.outcome
        counts = [f"{n:,}" for n in (shown.events_in, shown.events_out, shown.duplicates, shown.set_aside)]
        if not shown.fired:
            counts = ["-"] * len(counts)
        ledger = str(shown.unexplained) if shown.ledgers else "-"
        return _columns(str(self.row.number), self.row.fault, self.verdict, *counts, ledger, f"{self.seconds:.0f}")


def run(row: Row, *, short: bool, keep: Path | None = None) -> Result:
    """Show one row."""
    if row.show is None:
        return Result(row, "waiting", Outcome(), why=f"waits for {row.waits_for}")
    lab = Lab(short=short, keep=keep)
    began = time.monotonic()
    try:
        row.show(lab)
    except Impossible as error:
        return Result(row, "skipped", lab.outcome, time.monotonic() - began, why=str(error))
    except Exception as error:  # noqa: BLE001 - every kind of failure is the row's
        notes = "; ".join(getattr(error, "__notes__", ()))
        why = f"{notes}: {type(error).__name__}: {error}"[:_SHOWN]
        return Result(row, "FAILED", lab.outcome, time.monotonic() - began, why=why)
    waits = f"but for {row.waits_for}, which it waits for" if row.waits_for else ""
    return Result(row, "survived", lab.outcome, time.monotonic() - began, why=waits)


def show(numbers: Sequence[int], *, short: bool, jobs: int, keep: Path | None = None) -> int:
    """Run rows, all of them unless numbers are given, and print a line for each; returns the exit status."""
    every = rows()
    if unknown := set(numbers) - {row.number for row in every}:
        sys.stderr.write(f"no row {', '.join(map(str, sorted(unknown)))}; there are {every[0].number} to ")
        sys.stderr.write(f"{every[-1].number}\n")
        return 2
    wanted = [row for row in every if not numbers or row.number in numbers]
    progress = _Progress(sys.stderr, len(wanted))

    def one(row: Row) -> Result:
        with progress.at_work(row):
            return run(row, short=short, keep=keep)

    _print(_columns(*HEAD))
    with ThreadPoolExecutor(jobs) as pool:
        results = []
        for result in pool.map(one, wanted):
            results.append(result)
            _print(result.line())
    for result in results:
        if result.why:
            _print(f"\nrow {result.row.number} {result.verdict}: {result.why}")
    _print("\n" + _sums(results))
    return 1 if any(result.verdict == "FAILED" for result in results) else 0


def _sums(results: Sequence[Result]) -> str:
    verdicts = {name: sum(result.verdict == name for result in results) for name in ("survived", "FAILED", "skipped")}
    counted = ", ".join(f"{count} {name}" for name, count in verdicts.items())
    waiting = sum(result.verdict == "waiting" for result in results)
    fired = sum(result.outcome.fired for result in results)
    return f"{len(results)} rows: {counted}, {waiting} waiting; {fired} faults fired"


class _Progress:
    """Says on a line of its own which rows are at work."""

    def __init__(self, to: TextIO, count: int) -> None:
        self._to = to
        self._count = count
        self._done = 0
        self._working: list[int] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def at_work(self, row: Row) -> Iterator[None]:
        """Count a row as one at work for as long as the block lasts."""
        with self._lock:
            self._working.append(row.number)
            self._say()
        try:
            yield
        finally:
            with self._lock:
                self._working.remove(row.number)
                self._done += 1
                self._say()

    def _say(self) -> None:
        at_work = ", ".join(map(str, self._working)) or "none"
        self._to.write(f"{self._done} of {self._count} rows done, at work: {at_work}\n")
        self._to.flush()


def _columns(number: str, fault: str, verdict: str, *rest: str) -> str:
    shown = fault if len(fault) <= _WIDTH else f"{fault[: _WIDTH - 1]}…"
    widths = (9, 9, 9, 7, 7, 5)
    return f"{number:>3}  {shown:<{_WIDTH}}  {verdict:<9}" + "".join(
        f"{text:>{width}}" for text, width in zip(rest, widths, strict=True)
    )


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
