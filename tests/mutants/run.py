"""Plants mistakes one by one, runs the tests that come by, and says which of them no test notices."""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.mutants.always import always
from tests.mutants.chosen import CHOSEN, NOTICED
from tests.mutants.draw import Possible
from tests.mutants.known import Known
from tests.mutants.marks import state_of
from tests.mutants.processes import Processes
from tests.mutants.recording import Recorded
from tests.mutants.sites import Mutant
from tests.mutants.targets import targets
from tests.mutants.trees import PLACE, ROOT, Tree

MOST_LEFT: Final = 0.05
STAGES: Final = (40, 400, sys.maxsize)
"""How many tests are run at once: most mistakes are noticed by the first few, and to collect tests takes time."""
DOUBTED_SECONDS: Final = 1.0
"""A test that takes longer has to fail twice: where others use the machine it may fail for them."""
REASON_SECONDS: Final = 5.0
"""As much of the tests as a mistake meets that has a reason to be left."""
NOT_RUN: Final = 5
"""What pytest ends with when there are no tests."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one mutant."""

    mutant: Mutant
    by: str
    """The test that noticed it; empty where none did."""
    tests: str
    """How many run the statement."""

    @property
    def line(self) -> str:
        """It in words."""
        if self.by:
            return f"{self.mutant.file}:{self.mutant.line} noticed by {self.by}"
        return f"{_title(self.mutant)}\n    NOT NOTICED by {self.tests} tests"


class Run:
    """One run of the tool.

    Args:
        arguments: of its command line.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._always = always(ROOT)
        files = targets(ROOT)
        sources = {file: (ROOT / file).read_bytes() for file in sorted({*files, *(each.file for each in self._always)})}
        self._sources = sources
        self._possible = Possible({file: sources[file] for file in files})
        self._reasons = self._possible.reasons()
        self._folder = PLACE / "known"
        self._known = Known(sources, self._folder)
        self._trees: queue.SimpleQueue[Tree] = queue.SimpleQueue()
        self._processes = Processes()

    def main(self) -> int:
        """Do it all; returns the exit status."""
        seed, only = self._arguments.seed, self._arguments.only
        drawn = self._possible.draw(seed, self._arguments.count)
        _say(
            f"{len(drawn)} of {len(self._possible.mutants)} mistakes by --seed {seed}, and {len(self._always)} by name"
        )
        chosen = [each for each in (*self._always, *drawn) if only in f"{each.file} {each.key}"]
        if self._arguments.list:
            for each in chosen:
                _say(_title(each))
            return 0
        but_slow = self._arguments.but_slow
        self._known.record(self._processes, self._arguments.tests, _say, jobs=self._arguments.jobs, but_slow=but_slow)
        outcomes = [Outcome(*each) for each in self._noticed_before(chosen)]
        before = {outcome.mutant.key for outcome in outcomes}
        left = [each for each in chosen if each.key not in before]
        if outcomes:
            _say(f"{len(outcomes)} of {len(chosen)} were noticed before")
        outcomes += self._plant(left)
        failed = sum(not test.passed for test in self._known.tests)
        _say(f"\n{failed} tests failed or were skipped when they were recorded, and were not chosen")
        return _report(outcomes, self._reasons)

    def _noticed_before(self, chosen: list[Mutant]) -> Iterator[tuple[Mutant, str, str]]:
        """Yield what a run before has found, as far as the tests that noticed are still there."""
        file = self._folder / "noticed.jsonl"
        if file.exists() and not self._arguments.anew:
            current = {test.test for test in self._known.tests}
            rows = [json.loads(line) for line in file.read_text().splitlines()]
            by = {(row["key"], row["state"]): row["by"] for row in rows if row["by"].partition(" (")[0] in current}
            yield from ((each, found, "") for each in chosen if (found := by.get((each.key, self._state(each)))))

    def _state(self, mutant: Mutant) -> str:
        return state_of(self._sources[mutant.file])

    def _plant(self, left: list[Mutant]) -> Iterator[Outcome]:
        """Yield what becomes of each."""
        jobs = self._arguments.jobs
        for number in range(jobs):
            self._trees.put(Tree(f"tree-{number}"))
        began = time.monotonic()
        with ThreadPoolExecutor(jobs) as pool, (self._folder / "noticed.jsonl").open("a") as noticed:
            try:
                for count, future in enumerate(as_completed([pool.submit(self._try, each) for each in left]), 1):
                    outcome = future.result()
                    _say(f"[{count}/{len(left)} {(time.monotonic() - began) / 60:.0f} min] {outcome.line}")
                    if outcome.by:
                        row = {"key": outcome.mutant.key, "state": self._state(outcome.mutant), "by": outcome.by}
                        noticed.write(json.dumps(row) + "\n")
                        noticed.flush()
                    yield outcome
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self._processes.end_all()
                raise

    def _try(self, mutant: Mutant) -> Outcome:
        tree = self._trees.get()
        source = self._sources[mutant.file]
        try:
            tree.write(mutant.file, mutant.planted(source))
            tests = self._known.tests_of(mutant)
            # one that changes nothing is not worth more than a few of them
            patience = REASON_SECONDS if mutant.key in self._reasons else self._arguments.patience
            some = list(_within(tests, patience))
            by = next(filter(None, (self._noticing(tree, stage) for stage in _stages(some))), "")
            return Outcome(mutant, by, f"{len(some)} of {len(tests)}")
        finally:
            tree.write(mutant.file, source)
            self._trees.put(tree)

    def _noticing(self, tree: Tree, tests: list[Recorded]) -> str:
        """Return which of some tests notices what is planted."""
        while tests:
            test = self._first_failing(tree, tests)
            failing = next((each for each in tests if each.test == test), None)
            if failing is None or failing.seconds < DOUBTED_SECONDS or self._first_failing(tree, [failing]):
                return test
            tests = tests[tests.index(failing) + 1 :]
        return ""

    def _first_failing(self, tree: Tree, tests: list[Recorded]) -> str:
        chosen = PLACE / f"{tree.folder.name}.json"
        noticed = Path(f"{chosen}{NOTICED}")
        noticed.unlink(missing_ok=True)
        chosen.write_text(json.dumps({test.test: 20 + 10 * test.seconds for test in tests}))
        files = list(dict.fromkeys(test.test.partition("::")[0] for test in tests))
        with self._processes.pytest(
            "tests.mutants.chosen",
            ["-n0", "-x", "-q", *files],
            folder=tree.folder,
            environment={**tree.environment, CHOSEN: str(chosen)},
            log=(log := PLACE / f"{tree.folder.name}.log"),
        ) as process:
            try:
                status = process.wait(120 + 30 * sum(test.seconds for test in tests))
            except subprocess.TimeoutExpired:
                return f"{tests[0].test} (or another: it hangs)"
        if status == NOT_RUN:
            raise RuntimeError(f"none of {len(tests)} tests was found: see {log}")
        if status == 0:
            return ""
        return noticed.read_text() if noticed.exists() else f"{tests[0].test} (exit status {status})"


def _within(tests: list[Recorded], seconds: float) -> Iterator[Recorded]:
    """Yield the first tests, as many as take so long."""
    for test in tests:
        seconds -= test.seconds
        if seconds < 0:
            return
        yield test


def _stages(tests: list[Recorded]) -> Iterator[list[Recorded]]:
    start = 0
    for count in STAGES:
        if some := tests[start : start + count]:
            yield some
        start += count


def _title(mutant: Mutant) -> str:
    return f"{mutant.file}:{mutant.line} {mutant.function}: {mutant.name or mutant.change}"


def _report(outcomes: list[Outcome], reasons: dict[str, str]) -> int:
    left = [outcome.mutant for outcome in outcomes if not outcome.by]
    _say(f"{len(outcomes)} mistakes planted, {len(outcomes) - len(left)} noticed, {len(left)} not")
    for mutant in left:
        _say(f"  {_title(mutant)}\n      {reasons.get(mutant.key, 'NO REASON: write the test that notices it')}")
    too_many = len(left) > MOST_LEFT * len(outcomes)
    if too_many:
        _say(f"more than {MOST_LEFT:.0%} are left")
    return 1 if too_many or any(mutant.key not in reasons for mutant in left) else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(argv: list[str] | None = None) -> int:
    """Run the tool."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--seed", type=int, help="which mistakes are drawn; by default others each time")
    parser.add_argument("--count", type=int, default=120, help="how many are drawn")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="how many run at once")
    parser.add_argument("--only", default="", help="those alone in whose file, function or change this stands")
    parser.add_argument("--tests", nargs="+", default=["tests", "plugins"], help="which tests are recorded, by folder")
    parser.add_argument(
        "--patience", type=float, default=300, help="seconds of tests, as recorded, that each meets at most"
    )
    parser.add_argument("--but-slow", action="store_true", help="do not record tests that are marked as slow")
    parser.add_argument("--anew", action="store_true", help="plant again what was noticed before")
    parser.add_argument("--list", action="store_true", help="only say what would be planted")
    arguments = parser.parse_args(argv)
    if arguments.seed is None:
        arguments.seed = random.randrange(1_000_000)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing that was started goes on
    return Run(arguments).main()
