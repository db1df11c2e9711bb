"""Kills the program at the N-th write, sync, rename, unlink and truncate, for every N, and sees what is left.

The scenario is small and always the same: a log of some hundred lines that is rotated twice, a buffer in files that is
flushed several times, a position file. Each run kills once, starts the program again without a fault, and compares line
by line; some runs kill it again while it recovers.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.e2e.program import Logpipe
from tests.faults import strace, texts
from tests.faults.logs import Log
from tests.faults.outcome import NotFired, Outcome
from tests.faults.trial import Lab, Trial

CALLS: Final = (
    "write",
    "writev",
    "pwrite64",
    "fsync",
    "fdatasync",
    "rename",
    "unlink",
    "ftruncate",
    "renameat2",
    "unlinkat",
    "mkdir",
)
STEPS: Final = 5
LINES_A_STEP: Final = 60
MARGIN: Final = 2
EACH: Final = 45.0
"""Seconds that one step, or the recovery, may take."""
_ONE_THREAD: Final = ("-r", "tests.faults.one_thread")


@dataclass(frozen=True)
class Point:
    """Where to kill: at the `number`-th `call`, and again at the `again`-th while it recovers, unless that is 0."""

    call: str
    number: int
    again: int = 0

    def __str__(self) -> str:
        again = f", again at {self.again}" if self.again else ""
        return f"{self.call} {self.number}{again}"


def all_points(*, again_each: int) -> list[Point]:
    """Return every point of the scenario, found by running it once, and for one in `again_each` a second kill."""
    lab = Lab()
    # Twice, since the first run may write bytecode.
    for _ in range(2):
        with lab.trial("counting calls") as trial:
            log = trial.folder / "strace"
            _play(trial, strace.counting(*CALLS, log=log))
            trial.fired("counted")
            calls = strace.most_calls(log)
    # The scenario takes a few calls more or less each time: points past its end are found out when they do not fire.
    points = [Point(call, number) for call in CALLS for number in range(1, calls[call] + MARGIN + 1) if calls[call]]
    second = [Point(point.call, point.number, again=1 + index % 9) for index, point in enumerate(points[::again_each])]
    return [*points, *second]


def kill_at(point: Point, lab: Lab) -> bool:
    """Play the scenario with a kill, recover, audit; returns whether the kill happened.

    Raises:
        AssertionError: a line was lost or altered, or it did not recover.
    """
    try:
        with lab.trial(f"killed at {point}") as trial:
            trial.may_repeat = True
            first, second = trial.folder / "strace", trial.folder / "strace-again"
            written = _play(trial, strace.strace(f"{point.call}:signal=KILL:when={point.number}", log=first))
            trial.fired(str(point), when=trial.last.was_killed)
            if point.again:
                _start(trial, strace.strace(f"{point.call}:signal=KILL:when={point.again}", log=second))
                _wait_for_end_or_all(trial)
                if trial.last.runs:
                    trial.last.kill()
            if _is_known(trial):
                next(written, None)
            logpipe = _start(trial, ())
            trial.wait_for_all(seconds=EACH)
            for _ in written:
                trial.wait_for_all(seconds=EACH)
            trial.end(logpipe)
    except NotFired:
        return False
    return True


def kill_everywhere(*, jobs: int, again_each: int, keep: Path | None = None) -> int:
    """Kill at every point and print what came of it; returns the exit status."""
    began = time.monotonic()
    points = all_points(again_each=again_each)
    _say(f"{len(points)} points: {', '.join(f'{c} {n}' for c, n in Counter(p.call for p in points).items())}")
    lab = Lab(keep=keep)
    fired: Counter[str] = Counter()
    failed: list[str] = []
    with ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(kill_at, point, lab): point for point in points}
        for done, future in enumerate(as_completed(running), start=1):
            point = running[future]
            try:
                fired[f"{point.call}{' twice' if point.again else ''}"] += future.result()
            except (AssertionError, TimeoutError) as error:
                failed.append(f"{point}: {error}")
                _say(f"FAILED {failed[-1]}")
            if done % 25 == 0:
                _say(f"{done} of {len(points)} points, {time.monotonic() - began:.0f} s", progress=True)
    _report(lab.outcome, fired, failed, time.monotonic() - began)
    return 1 if failed or not fired.total() else 0


def _report(outcome: Outcome, fired: Counter[str], failed: Sequence[str], seconds: float) -> None:
    for kind, count in fired.items():
        _say(f"  {kind:<18}{count:>6} killed")
    _say(
        f"killed at {fired.total()} points in {seconds:.0f} s: written {outcome.events_in:,}, arrived "
        f"{outcome.events_out:,}, lost {outcome.events_in - outcome.events_out}, twice {outcome.duplicates:,}, "
        f"ledgers {outcome.ledgers} with {outcome.unexplained} unexplained, failed {len(failed)}"
    )


def _play(trial: Trial, through: Sequence[str]) -> Iterator[None]:
    """Start the program, write and rotate step by step, each when what came before has arrived, until it is killed.

    Returns the steps that are left, to be taken by who goes on.
    """
    log = trial.log()
    logpipe = _start(trial, through)
    steps = _steps(log)
    for _ in steps:
        _wait_for_end_or_all(trial)
        if not logpipe.runs:
            return steps
    _wait_for_end_or_all(trial)
    if logpipe.runs:
        logpipe.signal(signal.SIGTERM)
        trial.wait(lambda: not logpipe.runs, "the program to end", seconds=EACH)
    return steps


def _is_known(trial: Trial) -> bool:
    """Return whether a position was written down: a log that is rotated before, nobody could find again."""
    positions = trial.folder / "state/pos"
    return positions.exists() and "app.log" in positions.read_text()


def _steps(log: Log) -> Iterator[None]:
    for step in range(STEPS):
        log.write(LINES_A_STEP)
        if step in {1, 3}:
            log.rename(late=10)
            log.write(10)
        yield


def _start(trial: Trial, through: Sequence[str]) -> Logpipe:
    source = texts.tail(trial.folder, more="rotate_wait 0.3")
    # Its log is written by the thread of the loop, whose calls count for themselves: it is quiet where calls count.
    quiet = ("-q",) if through else ()
    return trial.start(source + texts.to_file(trial.folder), through=through, arguments=(*quiet, *_ONE_THREAD))


def _wait_for_end_or_all(trial: Trial) -> None:
    logpipe = trial.last

    def ended_or_all() -> bool:
        while trial.read():
            pass
        return trial.account.complete or not logpipe.runs

    trial.wait(ended_or_all, "all lines to arrive, or the kill", seconds=EACH)


_printing = threading.Lock()


def _say(text: str, *, progress: bool = False) -> None:
    with _printing:
        stream = sys.stderr if progress else sys.stdout
        stream.write(f"{text}\n")
        stream.flush()
