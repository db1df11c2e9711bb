"""logpipe as a service manager starts it: in the background or not, with a file for its process id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

from tests.services.waiting import wait_until

PATIENCE = 60


class Program:
    """Starts logpipe in the background in a folder, and ends what runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pid_file = folder / "run" / "pid"
        self.log = folder / "log" / "logpipe.log"
        self.config = folder / "logpipe.conf"
        self.app = folder / "app.log"
        self.app.write_text("")
        for made in (self.pid_file, self.log):
            made.parent.mkdir()
        self._pids: list[int] = []

    def configure(self, text: str = "", *, system: str = "", worker: str = "0") -> None:
        """Write a configuration that copies lines of app.log to a file, in files all the way."""
        self.config.write_text(f"""
<system>
  {system}
</system>
<worker {worker}>
  <source>
    @type tail
    path {self.app}
    pos_file {self.folder}/state/app.pos
    tag app
    read_from_head true
    <parse>
      @type none
    </parse>
  </source>
  <match app>
    @type file
    path {self.folder}/out/app
    append true
    <buffer []>
      @type file
      path {self.folder}/buffer
      flush_mode immediate
    </buffer>
  </match>
</worker>
<label @FLUENT_LOG>
  <match **>
    @type null
  </match>
</label>
{text}
""")

    def run(self, *arguments: str, umask: int = 0o022, **more: str) -> subprocess.CompletedProcess[str]:
        """Run to the end, of the command that was given."""
        command = (sys.executable, "-m", "logpipe", "-c", str(self.config), *arguments)
        environment = {**os.environ, **more}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, umask=umask)
        if self.pid_file.exists() and (pid := self.pid_file.read_text().strip()):
            self._pids.append(int(pid))
        return done

    def start(self, *arguments: str, umask: int = 0o022) -> int:
        """Start in the background, and return its process id."""
        done = self.run("-d", str(self.pid_file), "-o", str(self.log), *arguments, umask=umask)
        assert done.returncode == 0, done.stderr + done.stdout + self.said
        return int(self.pid_file.read_text())

    @property
    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def stop(self) -> None:
        """Stop what runs, and wait for its end."""
        for pid in self._pids:
            if is_running(pid):
                os.kill(pid, signal.SIGTERM)
                wait_until(partial(has_ended, pid), seconds=PATIENCE, what=lambda: self.said)

    def kill(self) -> None:
        for pid in self._pids:
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)

    def deliver(self, line: str) -> None:
        """Append a line to the log that is followed, and wait until it is written."""
        with self.app.open("a") as file:
            file.write(f"{line}\n")
        out = self.folder / "out" / "app.log"
        wait_until(lambda: out.exists() and line in out.read_text(), seconds=PATIENCE, what=lambda: self.said)


def has_ended(pid: int) -> bool:
    return not is_running(pid)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
