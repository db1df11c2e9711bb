"""Faults that the kernel is made to deliver: strace kills, or lets system calls fail, at a chosen call."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from tests.faults.outcome import Impossible

# The program stays the child of who starts it, for its signals and its status.
_AS_GRANDCHILD: Final = ("strace", "-D", "-f", "-qq")


def strace(*injections: str, log: Path, paths: Sequence[Path] = ()) -> list[str]:
    """Return the command under which a program meets faults.

    Args:
        injections: each as strace's `-e inject=` takes it: `fsync:error=EIO:when=2`.
        log: what it writes about the calls that are traced, those of the injections.
        paths: only calls on these files count, where any are given.

    Raises:
        Impossible: strace is not here, or may not trace.
    """
    if reason := _unusable():
        raise Impossible(reason)
    calls = ",".join(injection.partition(":")[0] for injection in injections)
    given = [f"--trace-path={path}" for path in paths]
    inject = [f"--inject={injection}" for injection in injections]
    return [*_AS_GRANDCHILD, "-o", str(log), *given, f"--trace={calls}", *inject]


def counting(*calls: str, log: Path) -> list[str]:
    """Return the command under which system calls are written down and nothing happens to them."""
    if reason := _unusable():
        raise Impossible(reason)
    return [*_AS_GRANDCHILD, "-o", str(log), f"--trace={','.join(calls)}"]


def injected(log: Path) -> int:
    """Return how many calls were made to fail."""
    return log.read_text(errors="replace").count("(INJECTED)") if log.exists() else 0


def most_calls(log: Path) -> Counter[str]:
    """Return how often each call was made by the thread that made most of them: strace counts for each thread."""
    threads: dict[str, Counter[str]] = {}
    for line in log.read_text(errors="replace").splitlines():
        thread, _, rest = line.partition(" ")
        name = rest.lstrip().partition("(")[0]
        if name.isidentifier():
            threads.setdefault(thread, Counter())[name] += 1
    most: Counter[str] = Counter()
    for counts in threads.values():
        most |= counts
    return most


@cache
def _unusable() -> str:
    try:
        done = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "no strace here: apt-get install strace"
    return f"strace may not trace here: {done.stderr.strip()}" if done.returncode else ""
