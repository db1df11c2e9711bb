"""What a service does before it works: leave the terminal, write its process id, give up privileges."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from logpipe import signals
from logpipe.errors import LogpipeError
from logpipe.plugin import Files
from logpipe.supervisor.account import Account

_FLUENTD: Final = (b"fluentd", b"td-agent")


class Daemon:
    """The file with the process id, locked from before the start to the end, and the command that waits for the start.

    Args:
        pid_file: the file.
        files: makes it.
        account: who it is given to; None for who runs us.
    """

    def __init__(self, pid_file: Path, files: Files, account: Account | None = None) -> None:
        self._path = pid_file.absolute()
        self._files = files
        self._account = account
        self._descriptor: int | None = None
        self._tell: int | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the file locked in the block, and remove it at the end.

        Raises:
            LogpipeError: another process has it, or it cannot be written.
        """
        is_new = not self._path.exists()
        try:
            self._descriptor = self._taken()
        except OSError as problem:
            reason = problem.strerror or problem
            raise LogpipeError(f"-d {self._path}: {reason}: give a file in a folder that can be written to") from None
        launcher = os.getpid()
        try:
            yield
        finally:
            if os.getpid() != launcher or is_new:
                self._remove()

    def _taken(self) -> int:
        self._files.make_folder(self._path.parent)
        while True:
            descriptor = self._files.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK)
            try:
                self._lock(descriptor)
                if self._is_ours(descriptor):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # removed between our open and our lock by the process that had it

    def _lock(self, descriptor: int) -> None:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise LogpipeError(f"-d {self._path}: it is no regular file: give another one")
        pid = os.pread(descriptor, 32, 0).strip()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            is_used = True
        else:
            is_used = _is_fluentd(pid)  # it locks nothing
        if is_used:
            owner = pid.decode("ascii", "replace") or "unknown"
            raise LogpipeError(f"-d {self._path}: process {owner} runs with this file: stop it, or give another file")

    def _is_ours(self, descriptor: int) -> bool:
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        return False

    def detach(self) -> None:
        """Go on in the background; the command that was given ends when `started` is called, or this process ends.

        Its status is 1 in the second case.
        """
        told, self._tell = os.pipe()
        sys.stdout.flush()
        if os.fork():
            os.close(self._tell)
            for number in signals.STOPS:  # whoever interrupts the wait has not been told that it runs
                signal.signal(number, lambda _number, _frame: os._exit(1))
            os._exit(0 if os.read(told, 1) else 1)
        os.close(told)
        os.setsid()
        if os.fork():
            os._exit(0)
        assert self._descriptor is not None  # noqa: S101 - held was entered
        line = b"%d\n" % os.getpid()
        os.pwrite(self._descriptor, line, 0)
        os.ftruncate(self._descriptor, len(line))
        if self._account is not None:
            os.fchown(self._descriptor, self._account.uid, self._account.gid)

    def started(self) -> None:
        """Leave the terminal, and let the command end with status 0; later calls do nothing."""
        if self._tell is None:
            return
        leave_terminal()
        with suppress(BrokenPipeError):  # the command was interrupted
            os.write(self._tell, b".")
        os.close(self._tell)
        self._tell = None

    def _remove(self) -> None:
        """Remove the file if it is still ours; where the folder belongs to others, empty it."""
        assert self._descriptor is not None  # noqa: S101 - held was entered
        if self._is_ours(self._descriptor):
            try:
                self._path.unlink()
            except OSError:
                os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def leave_terminal() -> None:
    """Print nothing more to a terminal or a pipe, so that nobody waits for its end; a file is still written to."""
    sys.stdout.flush()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.dup2(null, descriptor)
    os.close(null)


def _is_fluentd(pid: bytes) -> bool:
    """Return whether a process of that id is fluentd, not one that got its number after a restart of the machine."""
    if not pid.isdigit() or int(pid) in {os.getpid(), os.getppid()}:
        return False
    with suppress(OSError):
        command = Path(f"/proc/{int(pid)}/cmdline").read_bytes()
        return any(program in command for program in _FLUENTD)
    return False
