"""logpipe on a folder of its own: a log that it follows, an output that misbehaves as told, and what it says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from tests.services.waiting import slowness, wait_until

ROOT = Path(__file__).parents[2]
PLUGINS = Path(__file__).parent / "plugins"
PATIENCE = 60

CONFIGURATION = """\
<system>
  shutdown_timeout {shutdown_timeout}
  workers {workers}
</system>
<worker 0>
  <source>
    @type tail
    path {folder}/app.log
    pos_file {folder}/positions
    tag app
    read_from_head true
    refresh_interval 1
    <parse>
      @type none
    </parse>
  </source>
</worker>
{more}
<match app>
  @type lines
  path {folder}/out
  {output}
  <buffer>
    flush_interval {flush_interval}
    retry_wait 0.1
    {buffer}
  </buffer>
</match>
"""


class Running:
    """The program, which can be started again when it has ended; what it wrote is under `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "logpipe.conf"
        self.said_in = folder / "said"
        self._log = (folder / "app.log").open("a")
        self._count = 0
        self._process: subprocess.Popen[bytes] | None = None

    def configure(
        self,
        *,
        output: str = "",
        buffer: str = "",
        more: str = "",
        flush_interval: str = "0.1",
        shutdown_timeout: str = "20s",
        workers: int = 1,
    ) -> None:
        """Write the configuration, at once for who reads it meanwhile."""
        text = CONFIGURATION.format(
            folder=self.folder,
            output=output,
            buffer=buffer,
            more=more,
            flush_interval=flush_interval,
            shutdown_timeout=shutdown_timeout,
            workers=workers,
        )
        new = self.folder / "new.conf"
        new.write_text(text)
        new.rename(self.config)

    def write(self, count: int) -> None:
        """Add so many numbered lines to the log that is followed."""
        self._log.writelines(f"line {number}\n" for number in range(self._count, self._count + count))
        self._log.flush()
        self._count += count

    @property
    def written(self) -> list[str]:
        """Every line of the log."""
        return [f"line {number}" for number in range(self._count)]

    @property
    def delivered(self) -> list[str]:
        """What the output has written, in order."""
        out = self.folder / "out"
        return out.read_text().splitlines() if out.exists() else []

    def places(self, place: str) -> int:
        """Return how many times the output has come to `place`: start, write or stop."""
        at = self.folder / "out.at"
        return at.read_text().splitlines().count(place) if at.exists() else 0

    def let_go(self) -> None:
        """Let an output that is held write."""
        (self.folder / "out.go").touch()

    @property
    def said(self) -> str:
        """What it has said so far, in all its runs."""
        return self.said_in.read_text(errors="replace") if self.said_in.exists() else ""

    def start(self, *arguments: str) -> Self:
        """Start it in a group of its own; it is a context manager that kills what is left at the end."""
        return self._start("-m", "logpipe", "-c", str(self.config), "-p", str(PLUGINS), *arguments)

    def start_script(self, script: Path) -> Self:
        """Start it by a script, which gets the configuration's path."""
        return self._start(str(script), str(self.config))

    def _start(self, *arguments: str) -> Self:
        with self.said_in.open("ab") as said:
            command = (sys.executable, *arguments)
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            self._process = process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
            )
        wait_until(lambda: process.poll() is not None or _holds_signals(process.pid), seconds=PATIENCE, what="Python")
        return self

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process that was started last."""
        assert self._process is not None
        return self._process

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for its end and return its exit status."""
        return self.process.wait(PATIENCE * slowness())

    def stop(self) -> int:
        """Ask it to end gracefully and return its exit status."""
        self.send(signal.SIGTERM)
        return self.end()

    def has_said(self, text: str, *, times: int = 1) -> None:
        """Wait until it has said that, so many times."""
        wait_until(lambda: self.said.count(text) >= times, seconds=PATIENCE, what=lambda: f"{text!r} in:\n{self.said}")

    def has_come_to(self, place: str, *, times: int = 1) -> None:
        """Wait until its output has come to that place, so many times."""
        wait_until(
            lambda: self.places(place) >= times, seconds=PATIENCE, what=lambda: f"the output at {place}:\n{self.said}"
        )

    def has_buffered(self) -> None:
        """Wait until the output's buffer holds something."""

        def is_said() -> bool:
            self.send(signal.SIGCONT)
            return "is_empty=False" in self.said

        wait_until(is_said, seconds=PATIENCE, what=lambda: f"something in the buffer:\n{self.said[-3000:]}")

    def has_delivered_all(self) -> None:
        """Wait until every line of the log was written by the output."""
        wait_until(
            lambda: set(self.written) <= set(self.delivered),
            seconds=PATIENCE,
            what=lambda: f"{set(self.written) - set(self.delivered)} to be delivered:\n{self.said[-3000:]}",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _holds_signals(pid: int) -> bool:
    """Return whether Python is up far enough to be ours; before, any signal ends it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    masks = [int(line.split()[1], 16) for line in lines if line.startswith(("SigBlk:", "SigCgt:"))]
    return any(mask & 1 << signal.SIGHUP - 1 for mask in masks)
