"""What a program costs from its start to its end, as the kernel accounts it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PAUSE = 0.005
PATIENCE = 300


@dataclass(frozen=True)
class Cost:
    """One run of a program."""

    seconds: float
    """From its start until its work was done."""
    cpu_seconds: float
    """Its own and the kernel's for it, from its start to its end, all its processes together."""
    peak_bytes: int
    """The most memory it had resident, all its processes together."""
    output: str


class FailedError(Exception):
    """A program ended with another status than 0, before its work was done, or not at all."""


def run(
    command: Sequence[str],
    *,
    output: Path,
    done: Callable[[], float | None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Cost:
    """Run a program to its end.

    Args:
        command: the program and its arguments.
        output: file for what it prints.
        done: asked all the time how many seconds ago the program's work was done, None while it is not; then
            the program is asked to end. Without it, the program ends by itself.
        environment: variables to set for it.
    """
    began = time.perf_counter()
    with output.open("wb") as printed:
        process = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
        )
    seconds = 0.0
    peaks: dict[int, int] = {}
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        elapsed = time.perf_counter() - began
        peaks |= _peaks(process.pid)
        if not seconds and done and (ago := done()) is not None:
            seconds = elapsed - ago
            process.send_signal(signal.SIGTERM)
        if elapsed > PATIENCE:
            process.kill()
        time.sleep(PAUSE)
    _, status, usage = ended
    process.returncode = os.waitstatus_to_exitcode(status)
    text = output.read_text(errors="replace")
    if process.returncode or bool(done) != bool(seconds):
        raise FailedError(f"{' '.join(command)} ended with status {process.returncode}:\n{text[-2000:]}")
    return Cost(
        seconds=seconds or time.perf_counter() - began,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_bytes=sum(peaks.values()),
        output=text,
    )


def _peaks(pid: int) -> dict[int, int]:
    """Return the most bytes that the process and its children have had resident, by process.

    The peak in the resource usage is of no use: it counts in what the parent had when it started the program.
    """
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if found := re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE):
            peaks = {pid: int(found[1]) * 1024}
            for child in children:
                peaks |= _peaks(int(child))
            return peaks
    return {}
