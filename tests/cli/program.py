"""The program itself, started by tests of its flags."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from tests.services.waiting import slowness, wait_until

PATIENCE = 60
EMPTY = "<match never>\n  @type null\n</match>\n"
OWN = "<label @FLUENT_LOG>\n  <match **>\n    @type null\n  </match>\n</label>\n"
SAMPLE = (
    '<source>\n@type sample\ntag demo\nrate 10\nsample {"a":1}\n</source>\n<match demo>\n@type stdout\n</match>\n' + OWN
)


def logpipe(*arguments: str, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    command = (sys.executable, "-m", "logpipe", *arguments)
    env = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, input=text)


class Running:
    """The program beside the test; ended with it."""

    def __init__(self, folder: Path, *arguments: str, text: str = "") -> None:
        self.output = folder / "said"
        (folder / "stdin").write_text(text)
        with self.output.open("wb") as file, (folder / "stdin").open("rb") as stdin:
            self.process = subprocess.Popen(
                (sys.executable, "-m", "logpipe", *arguments),
                stdout=file,
                stderr=file,
                stdin=stdin,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.output.read_text()

    def says(self, text: str) -> None:
        wait_until(lambda: text in self.said, seconds=PATIENCE, what=lambda: f"{text!r} in:\n{self.said}")

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(PATIENCE * slowness())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
