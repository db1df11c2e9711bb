"""Runs cases in a process of their own, so that one that hangs, grows or dies is found too."""

from __future__ import annotations

import argparse
import json
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from tests.fuzz.case import Case, clean
from tests.fuzz.configuration import every_setting, stages
from tests.fuzz.decoding import NAMES, again, fuzz

CASE_SECONDS: Final = 300
"""After this long a case hangs."""

MEGABYTES: Final = 400
"""What a process that runs cases one after the other may grow to."""


@dataclass
class Report:
    """What a run has shown."""

    cases: int = 0
    refused: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    used: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[int, list[str]]] = field(default_factory=list)

    def unused(self) -> list[str]:
        """Return the stages that no event went through and the settings that were never written."""
        names = [f"{kind} {name}" for kind, name in stages()]
        return [name for name in names if not self.stages[name]] + [
            name for name in every_setting() if not self.used[name]
        ]


def main() -> int:
    """Run what the command line asks for; status 1 if anything was found."""
    arguments = _arguments()
    if arguments.child:
        return _child(arguments.seed, arguments.cases, arguments.types)
    if arguments.input is not None:
        return again(arguments.decoders[0], arguments.input)
    if arguments.decoders is not None:
        return fuzz(arguments.decoders or NAMES, arguments.seconds, arguments.seed)
    report = run(arguments.seed, arguments.cases, arguments.seconds, types=arguments.types, stop_at=arguments.findings)
    for name, count in sorted(report.stages.items()):
        say(f"{count:9,} events through {name}")
    for name, count in sorted(report.used.items()):
        say(f"{count:9,} times {name}")
    unused = report.unused()
    for name in unused:
        say(f"        0: {name}")
    say(
        f"fuzz: {report.cases:,} cases, {report.refused:,} configurations refused, "
        f"{report.stages['input tail']:,} lines, {len(report.findings)} findings, {len(unused)} never used"
    )
    return 1 if report.findings else 0


def say(text: str) -> None:
    """Print a line now."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the first case; each next one is one more")
    parser.add_argument("--seconds", type=float, default=600, help="for how long")
    parser.add_argument("--cases", type=int, default=1_000_000_000, help="at most so many")
    parser.add_argument("--findings", type=int, default=10, help="stop after so many")
    parser.add_argument("--types", nargs="*", default=[], help="stages that every other choice takes, such as grok")
    parser.add_argument("--decoders", nargs="*", choices=NAMES, help="any bytes through these decoders, or all of them")
    parser.add_argument("--input", type=Path, help="an input of one decoder once more: --decoders forward --input FILE")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def run(
    seed: int, cases: int, seconds: float, *, types: Sequence[str] = (), stop_at: int = 10, progress: bool = True
) -> Report:
    """Run cases one after the other, each seed one more than the one before."""
    report = Report()
    end = time.monotonic() + seconds
    last = time.monotonic()
    first, rest = seed, cases
    while rest > 0 and time.monotonic() < end and len(report.findings) < stop_at:
        with _Child(first, rest, types) as child:
            while rest > 0 and time.monotonic() < end and len(report.findings) < stop_at:
                problems = child.next(report)
                first, rest = first + 1, rest - 1
                if problems:
                    report.findings.append((first - 1, problems))
                    _show(first - 1, problems, types)
                if progress and time.monotonic() - last > 10:
                    last = time.monotonic()
                    say(f"{report.cases:,} cases, {len(report.findings)} findings, next seed {first}")
                if child.is_over:
                    break
    return report


def _show(seed: int, problems: list[str], types: Sequence[str]) -> None:
    same = f" --types {' '.join(types)}" if types else ""
    say("\n   ".join((f"== seed {seed}: run it again with --seed {seed} --cases 1{same}", *problems)))
    text = Case(seed, Path("/case"), types).describe()
    say("\n".join(line if len(line) < 300 else f"{line[:300]}…" for line in text.splitlines()))


class _Child:
    """A process that runs cases and writes a line about each."""

    def __init__(self, seed: int, cases: int, types: Sequence[str]) -> None:
        command = [sys.executable, "-m", "tests.fuzz", "--child", "--seed", str(seed), "--cases", str(cases)]
        command += ["--types", *types]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.is_over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def next(self, report: Report) -> list[str]:
        """Wait for the next case and return what is wrong with it."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], CASE_SECONDS)
        line = self._process.stdout.readline() if ready else b""
        report.cases += 1
        if not line:
            self.is_over = True
            return ["it hangs" if not ready else f"the process ended with status {self._process.wait()}"]
        told = json.loads(line)
        report.refused += told["refused"]
        report.stages.update(told["stages"])
        report.used.update(told["used"])
        problems: list[str] = told["problems"]
        if told["megabytes"] > MEGABYTES:
            self.is_over = True
            problems.append(f"memory grew to {told['megabytes']} MB")
        return problems


def _child(seed: int, cases: int, types: Sequence[str]) -> int:
    out = sys.stdout
    with tempfile.TemporaryDirectory(prefix="logpipe-fuzz-") as folder:
        for number in range(seed, seed + cases):
            root = Path(folder) / str(number)
            found = Case(number, root, types).run()
            clean(root)
            told = {
                "refused": found.refused,
                "problems": found.problems,
                "stages": found.stages,
                "used": found.used,
                "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
            out.write(json.dumps(told) + "\n")
            out.flush()
    return 0
