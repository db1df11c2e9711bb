"""logpipe as its users start it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.services.waiting import slowness

STOP_SECONDS = 60


class Logpipe:
    """The program on one configuration, started, killed and started again.

    Args:
        config: the configuration's file.
        log: file that what it says is added to.
        through: a command that gets logpipe's as its arguments.
        environment: variables to set for it.
        arguments: more of its own.
        command: another program in its place, which takes the same signals.
    """

    def __init__(
        self,
        config: Path,
        log: Path,
        *,
        through: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        command: Sequence[str] | None = None,
    ) -> None:
        self._command = (
            [*command] if command else [*through, sys.executable, "-m", "logpipe", "-c", str(config), *arguments]
        )
        self._environment = {**os.environ, **(environment or {})}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def said(self) -> str:
        """What it has logged so far, in all its runs."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def pid(self) -> int:
        """The process that was started last."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        """Start it; it is a context manager that kills what is left at the end."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that all its processes can be killed at once
            )
        return self

    def still_runs(self) -> None:
        """Fail the test, quoting its log, if it has ended by itself."""
        assert self._process is not None
        assert self._process.poll() is None, f"logpipe ended by itself:\n{self.said}"

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        assert self._process is not None
        return self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        assert self._process is not None
        return self._process.poll()

    @property
    def was_killed(self) -> bool:
        """Whether SIGKILL has ended it."""
        assert self._process is not None
        return self._process.poll() == -signal.SIGKILL

    def signal(self, number: int) -> None:
        """Send it a signal; one that has ended gets none."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill all its processes at once, as the end of the machine would."""
        self.still_runs()
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        """Ask it to end and return its exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(STOP_SECONDS * slowness())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
