"""logpipe is killed at every named point of the buffer's work, and again while it recovers: no line is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.builtin.buffers.stages import files
from tests.services.waiting import slowness, wait_until

PATIENCE = 60
LINES_A_TIME = 20

CONFIG = """
<source>
  @type tail
  path {folder}/in.log
  pos_file {folder}/in.pos
  tag t
  read_from_head true
  refresh_interval 1
  <parse>
    @type none
  </parse>
</source>
<match t>
  @type file
  path {folder}/out
  append true
  <format>
    @type single_value
  </format>
  <buffer []>
    @type file
    path {folder}/b
    flush_mode interval
    flush_interval 0.1
    memory_limit_size {memory}
    compress {compress}
    flush_at_shutdown {at_shutdown}
  </buffer>
</match>
"""


class Machine:
    """A log that grows, and logpipe that carries it to a file."""

    def __init__(self, folder: Path, *, memory: str = "0", compress: str = "text") -> None:
        self.folder = folder
        self.written = 0
        self.runs = 0
        self.config = folder / "conf"
        text = CONFIG.format(folder=folder, memory=memory, compress=compress, at_shutdown="false")
        self.config.write_text(text)
        (folder / "in.log").touch()

    def write(self) -> None:
        with (self.folder / "in.log").open("a") as log:
            numbers = range(self.written, self.written + LINES_A_TIME)
            log.write("".join(f"line {n:06} {'x' * (n % 90)}\n" for n in numbers))
        self.written += LINES_A_TIME

    def delivered(self) -> Counter[str]:
        out = self.folder / "out.log"
        return Counter(out.read_text().splitlines() if out.exists() else ())

    def missing(self) -> list[int]:
        delivered = self.delivered()
        return [n for n in range(self.written) if f"line {n:06} {'x' * (n % 90)}" not in delivered]

    @contextmanager
    def running(self, fault: str = "") -> Iterator[subprocess.Popen[bytes]]:
        environment = {**os.environ, "LOGPIPE_FAULT": fault}
        self.runs += 1
        with (self.folder / "said").open("ab") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "logpipe", "-c", str(self.config)], env=environment, stdout=said, stderr=said
            )
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    def started(self) -> int:
        said = self.folder / "said"
        return said.read_text().count("starting logpipe") if said.exists() else 0

    def said(self) -> str:
        return (self.folder / "said").read_text()[-3000:]

    def run_to(self, fault: str) -> None:
        """Run while the log grows until the fault has killed it; that it does not fire is a failure."""
        with self.running(fault) as process:
            end = time.monotonic() + PATIENCE * slowness()
            while process.poll() is None and time.monotonic() < end:
                self.write()
                time.sleep(0.02)
            assert process.returncode == -signal.SIGKILL, f"{fault} did not fire: {process.returncode}\n{self.said()}"

    def run_to_the_end(self) -> None:
        """Run until all lines are there, compared one by one; then it has to stop in order."""
        started = self.started()
        with self.running() as process:
            end = time.monotonic() + PATIENCE * slowness()
            # where nothing is left to do, it must have come so far that a signal is its own to handle
            wait_until(
                lambda: self.started() > started or process.poll() is not None,
                seconds=PATIENCE,
                what="logpipe to begin",
            )
            while self.missing() and process.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
            missing = self.missing()
            assert not missing, f"{len(missing)} of {self.written} are missing, first {missing[:3]}\n{self.said()}"
            while files(self.folder / "b") and time.monotonic() < end:
                time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE * slowness()) == 0, self.said()
        assert files(self.folder / "b") == []
        expected = {f"line {n:06} {'x' * (n % 90)}" for n in range(self.written)}
        others = set(self.delivered()) - expected
        # a kill may cut the output's own write; what is written next starts on a new line and brings the line again
        begun = {line for line in others if any(whole.startswith(line) for whole in expected)}
        assert others == begun, "nothing but what was written"
        assert len(begun) < self.runs, f"at most one line cut by each kill: {begun}"


POINTS = [
    "buffer.opened",
    "buffer.written",
    "buffer.created",
    "buffer.synced",
    "buffer.delete",
    "buffer.deleted",
]


@pytest.mark.parametrize(
    ("point", "number"), [*((point, 1) for point in POINTS), ("buffer.written", 4), ("buffer.delete", 3)]
)
def test_killed_at_a_point(point: str, number: int, tmp_path: Path) -> None:
    """At its first passing and at a later one."""
    machine = Machine(tmp_path, compress="gzip" if number == 4 else "text")
    machine.run_to(f"{point}:{number}")
    machine.run_to_the_end()


@pytest.mark.parametrize("again", ["buffer.resumed", "buffer.delete", "buffer.deleted", "buffer.synced"])
def test_killed_again_while_it_recovers(again: str, tmp_path: Path) -> None:
    """Twice, after a first kill."""
    machine = Machine(tmp_path, memory="32m")
    machine.run_to("buffer.synced:3")
    machine.run_to(f"{again}:1")
    machine.run_to(f"{again}:1")
    machine.run_to_the_end()


@pytest.mark.parametrize("point", ["buffer.damaged", "buffer.reported"])
def test_killed_while_it_salvages(point: str, tmp_path: Path) -> None:
    """A torn file, salvaged once more after the crash, with one report of it in the end."""
    machine = Machine(tmp_path)
    machine.run_to("buffer.synced:2")
    *_, torn = files(tmp_path / "b")  # the two syncs were those of one chunk or of two, as the time went
    with torn.open("ab") as file:
        file.write(torn.read_bytes()[:100])
    machine.run_to(f"{point}:1")
    machine.run_to(f"{point}:1")
    machine.run_to_the_end()
    # a kill may tear the chunk that is written at that moment too, which then has a report of its own
    reports = [path.name for path in (tmp_path / "b" / "corrupt").iterdir() if path.suffix == ".json"]
    assert reports.count(f"{torn.name}.json") == 1


def test_killed_anywhere_again_and_again(tmp_path: Path) -> None:
    """At moments of no choice."""
    machine = Machine(tmp_path, memory="1k")
    for _ in range(6):
        with machine.running() as process:
            end = time.monotonic() + 1.0
            while time.monotonic() < end:
                machine.write()
                time.sleep(0.01)
            assert process.poll() is None, machine.said()
    machine.run_to_the_end()
