"""A Java program that runs beside the tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.services.waiting import wait_until

START_SECONDS = 120
STOP_SECONDS = 60


class StartError(Exception):
    """A server ended before it served, for one because its port was taken; the message quotes its output."""


class JavaServer:
    """One Java server process, its output in a file that errors quote.

    The first one of its kind that ends in good order leaves an archive of the classes it has loaded beside the folder
    of its class path. Those after it start in half the time.

    Args:
        main: the class to run.
        settings: the one argument it gets, a file of settings; its output goes beside it, in a file ending `.log`.
        jars: folder of its class path.
        heap: the most memory its objects may take, as java's -Xmx says it.
        serves: asks the server something and says whether it answered; must not raise.
    """

    def __init__(self, main: str, settings: Path, *, jars: Path, heap: str, serves: Callable[[], bool]) -> None:
        self._log = settings.with_suffix(".log")
        self._serves = serves
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._archive = _archive(main, jars)
        self._new_archive = self._archive.with_name(f"{self._archive.name}.{os.getpid()}-{id(self):x}")
        self.archives = not self._archive.exists()
        """Whether it is the first, which is worth an orderly end."""
        self._command = [
            "java",
            f"-XX:ArchiveClassesAtExit={self._new_archive}"
            if self.archives
            else f"-XX:SharedArchiveFile={self._archive}",
            f"-Xmx{heap}",
            # Tests share few cores: no threads for parallel collection.
            "-XX:+UseSerialGC",
            # They live for seconds: to optimise what they run costs more than it gains.
            "-XX:TieredStopAtLevel=1",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-cp",
            f"{jars}/*",
            main,
            str(settings),
        ]

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process and return when it serves.

        Raises:
            StartError: it ended instead.
            TimeoutError: it did neither.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        # Its input ends when this process does, in whatever way: no server outlives tests that were killed.
        watch = f"read never; kill -KILL {self._process.pid}"
        self._watchdog = subprocess.Popen(["sh", "-c", watch], stdin=subprocess.PIPE)
        try:
            wait_until(lambda: self._serves() or not self.running, seconds=START_SECONDS, what=self._unready)
        except BaseException:
            self.kill()
            raise
        if not self.running:
            self.kill()
            raise StartError(f"{self._command[-2]} ended at its start:\n{self._last_words()}")

    def stop(self) -> None:
        """Ask the process to end and wait until it has; one that won't is killed."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            self._new_archive.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):  # it uses one, or could not write it
            self._new_archive.rename(self._archive)
        self._dismiss()

    def kill(self) -> None:
        """End the process as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._dismiss()

    def _dismiss(self) -> None:
        if self._watchdog is not None:
            self._watchdog.kill()
            self._watchdog.communicate()
            self._watchdog = None

    def _unready(self) -> str:
        return f"{self._command[-2]} to serve:\n{self._last_words()}"

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]


def _archive(main: str, jars: Path) -> Path:
    """Return where the classes of a program are archived; the Java that wrote an archive is alone in reading it."""
    java = Path(shutil.which("java") or "/").resolve()
    return jars.with_name(f"{jars.name}-{main.rpartition('.')[2]}-{java.stat().st_mtime_ns:x}.jsa")
