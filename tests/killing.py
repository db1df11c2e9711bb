"""logpipe between a log and a file, killed at the points that LOGPIPE_FAULT names, and counted line by line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from logpipe.builtin.position_file import PositionFile
from logpipe.engine.dead_letters.letters import decode
from tests.builtin.buffers.stages import files
from tests.services.waiting import slowness, wait_until

PATIENCE = 60
LINES_A_TIME = 20

CONFIG = """
<system>
  root_dir {folder}/root
</system>
<source>
  @type tail
  path {folder}/in.log
  pos_file {folder}/state/in.pos
  tag t
  read_from_head true
  refresh_interval 1
  <parse>
    @type none
  </parse>
</source>
{filters}
<match t>
  @type file
  path {folder}/{out}
  append {append}
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
    flush_at_shutdown false
    {more}
  </buffer>
</match>
"""

DEFAULTS = {"filters": "", "out": "out/out", "append": "true", "memory": "0", "compress": "text", "more": ""}


class Machine:
    """A log that grows, and logpipe that carries it to a file."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.written = 0
        self.runs = 0
        self.config = folder / "conf"
        self.config.write_text(CONFIG.format(folder=folder, **(DEFAULTS | settings)))
        (folder / "in.log").touch()

    def write(self) -> None:
        with (self.folder / "in.log").open("a") as log:
            numbers = range(self.written, self.written + LINES_A_TIME)
            log.write("".join(f"line {n:06} {'x' * (n % 90)}\n" for n in numbers))
        self.written += LINES_A_TIME

    def delivered(self) -> Counter[str]:
        """Return the lines that the output has written, and those in files of dead letters."""
        texts = [path.read_text() for path in (self.folder / "out").glob("*.log")]
        lines = Counter(line for text in texts for line in text.splitlines())
        for path in (self.folder / "root").rglob("*.jsonl"):
            for line in path.read_bytes().splitlines():
                with suppress(ValueError):  # a kill may cut a letter short; it comes again
                    letter = decode(line)
                    lines[
                        str(letter.record["message"])
                        if letter.record
                        else (letter.payload or b"").decode().removesuffix("\n")
                    ] += 1
        return lines

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

    def is_done(self) -> bool:
        """Return whether all was read, and nothing of it waits: what had no position yet at a kill comes twice."""
        positions = PositionFile(str(self.folder / "state" / "in.pos")).load().positions
        read = positions[-1].offset if positions else 0
        return read == (self.folder / "in.log").stat().st_size and not files(self.folder / "b")

    def said(self) -> str:
        return (self.folder / "said").read_text()[-3000:]

    def run_to(self, fault: str) -> None:
        """Run while the log grows until the fault has killed it; that it does not fire is a failure."""
        with self.running(fault) as process:
            end = time.monotonic() + PATIENCE * slowness()
            while process.poll() is None and time.monotonic() < end:
                self.write()
                time.sleep(0.05)
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
                time.sleep(0.2)
            missing = self.missing()
            assert not missing, f"{len(missing)} of {self.written} are missing, first {missing[:3]}\n{self.said()}"
            while not self.is_done() and time.monotonic() < end:
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE * slowness()) == 0, self.said()
        assert files(self.folder / "b") == []
        expected = {f"line {n:06} {'x' * (n % 90)}" for n in range(self.written)}
        others = set(self.delivered()) - expected
        # a kill may cut the output's own write; what is written next starts on a new line and brings the line again
        begun = {line for line in others if any(whole.startswith(line) for whole in expected)}
        assert others == begun, "nothing but what was written"
        assert len(begun) < self.runs, f"at most one line cut by each kill: {begun}"
