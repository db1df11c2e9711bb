"""The runs of tests: none outlives the tool, and none its time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path


class Processes:
    """What was started and has not ended."""

    def __init__(self) -> None:
        self._running: set[int] = set()
        self._lock = threading.Lock()
        self._ended = False

    @contextlib.contextmanager
    def pytest(
        self, plugin: str, arguments: list[str], *, folder: Path, environment: dict[str, str], log: Path
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run tests in a folder, with a plugin, for as long as the block lasts."""
        command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-p", plugin]
        command += ["-p", "no:randomly", "-p", "no:cacheprovider", *arguments]
        with log.open("wb") as said, self._lock:
            if self._ended:
                raise InterruptedError("the tool has ended")
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=said, stderr=said, start_new_session=True
            )
            self._running.add(process.pid)
        try:
            yield process
        finally:
            _kill(process.pid)
            process.wait()
            with self._lock:
                self._running.discard(process.pid)

    def end_all(self) -> None:
        """End what runs, and start nothing more."""
        with self._lock:
            self._ended = True
            for pid in self._running:
                _kill(pid)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
