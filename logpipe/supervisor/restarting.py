"""USR2: the program takes its own place, by exec: new code, `<system>` and all, and the sockets stay open.

Fluentd starts a second supervisor beside the first one (supervisor.rb, zero_downtime_restart). Here the process id
stays the same: the first process of a container would end the container with it, and service managers follow it.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import Final

from logpipe import signals
from logpipe.sockets.handed import leave
from logpipe.sockets.inherited import hand_over
from logpipe.sockets.kept import LeftOpen
from logpipe.supervisor.daemon import Daemon
from logpipe.supervisor.settings import Settings

UNUSABLE: Final = "the configuration can't be used, the one before stays in use"
CANNOT_START: Final = "cannot start the program anew: %s"
_PATIENCE: Final = 300.0
"""Seconds for the check; a machine may be busy."""


def command(settings: Settings) -> tuple[str, ...]:
    """Return what starts this program again, as it was started."""
    return (sys.executable, "-m", "logpipe", *settings.arguments)


class Trial:
    """A process that reads the configuration as the next program would.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, settings: Settings, log: logging.Logger) -> None:
        self._log = log
        log.info("starting the program anew (SIGUSR2): checking it and the configuration first")
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the trial; a pipe could be full
        self._process = subprocess.Popen(  # noqa: S603 - this program, as it was started
            (*command(settings), "--dry-run"), stdin=subprocess.DEVNULL, stdout=self._said, stderr=self._said
        )

    @property
    def has_ended(self) -> bool:
        """Whether `is_good` can tell at once."""
        return self._process.poll() is not None

    def is_good(self) -> bool:
        """Wait for its end, and return whether the next program can run; what it said is logged where not."""
        try:
            status = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        with self._said as file:
            file.seek(0)
            said = file.read().decode("utf-8", "replace")
        if status == 0:
            return True
        for line in said.splitlines():
            self._log.error("%s", line)
        self._log.error(UNUSABLE)
        return False


def replace(settings: Settings, found: LeftOpen, daemon: Daemon | None, log: logging.Logger) -> int:
    """Let the program take its own place; returns only where that fails, with the exit status 1.

    To be called when nothing runs any more.
    """
    kept = {**hand_over(found.listening), **leave(found.connections)}
    environment = {**os.environ, **kept, **(daemon.hand_over() if daemon is not None else {})}
    log.info("the program starts anew pid=%d", os.getpid())
    signals.hold_for_next()
    sys.stdout.flush()
    signal.setitimer(signal.ITIMER_REAL, 0)  # it would go on
    try:
        os.execve(sys.executable, command(settings), environment)  # noqa: S606 - as above
    except OSError as problem:
        log.critical(CANNOT_START, problem.strerror or problem)
    return 1


def reap() -> None:
    """Let go of the children that the program before has left: they have ended with it."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
