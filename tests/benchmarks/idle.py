"""What it costs to follow ten thousand container logs to which nobody writes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.compare import pod
from tests.benchmarks.container_log import write_log
from tests.benchmarks.measure import PATIENCE, PAUSE, FailedError
from tests.benchmarks.report import aim

MOST_SHARE = 2.0
MOST_MEGABYTES = 150

LINES = 5
SECONDS = 60
"""How long it is watched: one refresh_interval, so that one search through all files is part of it."""

CONFIG = """
<source>
  @type tail
  path {folder}/logs/*.log
  pos_file {folder}/tail.pos
  tag kubernetes.*
  read_from_head true
  <parse>
    @type json
  </parse>
</source>
<match kubernetes.**>
  @type null
</match>
"""

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class IdleReport:
    """The figures of one run."""

    files: int
    share: float
    """Per cent of one core."""
    megabytes: float
    """The most that was resident, from the start."""

    def rows(self) -> list[str]:
        """Return the figures as lines of text."""
        return [
            f"{self.files:,} watched files, read to their end and idle",
            aim("of a core", self.share, " %", at_most=MOST_SHARE),
            aim("peak memory", self.megabytes, " MB", at_most=MOST_MEGABYTES),
        ]


def measure_idle(*, files: int = 10_000, seconds: float = SECONDS) -> IdleReport:
    """Follow files, wait until all are read, and look at what it costs from then on.

    Raises:
        FailedError: logpipe ended, or did not read everything.
    """
    with tempfile.TemporaryDirectory(prefix="logpipe-idle-") as name:
        folder = Path(name)
        _lay(folder, files)
        command = [sys.executable, "-m", "logpipe", "-c", str(folder / "logpipe.conf")]
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:
            _wait_until_read(process, folder, files)
            before = cpu_seconds(process)
            time.sleep(seconds)
            share = 100 * (cpu_seconds(process) - before) / seconds
            return IdleReport(files, share, _peak_megabytes(process))
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _lay(folder: Path, files: int) -> None:
    """Write as many logs with names as long as the kubelet's, and the configuration."""
    (folder / "logs").mkdir()
    write_log(folder / "some", LINES)
    content = (folder / "some").read_bytes()
    some = pod("idle")
    for number in range(files):
        (folder / "logs" / f"{some.name}-{number:05}_idle_web-{number:064x}.log").write_bytes(content)
    (folder / "logpipe.conf").write_text(CONFIG.format(folder=folder))


def _wait_until_read(process: subprocess.Popen[bytes], folder: Path, files: int) -> None:
    """Wait until the position file says that every file is delivered to its end."""
    end = f"{(folder / 'some').stat().st_size:016x}".encode()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            rows = (folder / "tail.pos").read_bytes()
        except FileNotFoundError:
            rows = b""
        if rows.count(b"\t" + end + b"\t") == files:
            return
        time.sleep(20 * PAUSE)
    raise FailedError(f"logpipe did not read {files:,} files:\n{(folder / 'said').read_text()[-2000:]}")


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return what a process has taken so far.

    Raises:
        FailedError: it has ended.
    """
    if process.poll() is not None:
        raise FailedError(f"logpipe ended with status {process.returncode} before it was asked to")
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _peak_megabytes(process: subprocess.Popen[bytes]) -> float:
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024 / 1e6
