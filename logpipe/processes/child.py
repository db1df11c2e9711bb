"""One child process, with all that it starts: its pipes, its end, and how it is ended."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple, Self, TypeAlias

from logpipe.errors import LogpipeError
from logpipe.processes.guard import GUARD
from logpipe.processes.pipes import ReadEnd, Tail, WriteEnd

Log: TypeAlias = logging.Logger | logging.LoggerAdapter[Any]

TERM_SECONDS: Final = 2.0
"""How long a child may take to end after SIGTERM, unless its owner says otherwise."""
LINGER_SECONDS: Final = 5.0
"""How long what a command has started may go on after it, so that a pipeline's last part can write its last."""
KILL_SECONDS: Final = 2.0
"""How long a killed child is waited for: one that waits for a disk ends when that answers."""
_KEPT_OF_STDERR: Final = 2048
_SHOWN: Final = 400


class ChildOver(LogpipeError):  # noqa: N818 - named for what the receiver should know
    """A child has ended before it had read what it was given."""


class Exit(NamedTuple):
    """How a child ended; both None where nobody knows, as where the system reaps children by itself."""

    status: int | None
    signal: int | None = None

    @property
    def is_success(self) -> bool:
        """Whether it has said so."""
        return self.status == 0

    def __str__(self) -> str:
        if self.signal is not None:
            return f"signal={self.signal} ({_name(self.signal)})"
        return "status unknown" if self.status is None else f"status={self.status}"


def _name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return "unknown"


class Child:
    """A command that runs in a process group and session of its own, started by the shell.

    What it writes to standard error is read whatever comes, and the last of it is kept, unless it is to come with the
    rest. Its standard input is empty unless it is to be fed. `end` or `kill` must be called, also when it has ended by
    itself: what it has started may still run, and goes with it.
    """

    def __init__(self, process: subprocess.Popen[bytes], command: str) -> None:
        self.command = command
        self.pid = process.pid
        self._process = process
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Exit] = loop.create_future()
        self._is_let_go = False
        self._lingering: asyncio.TimerHandle | None = None
        self._input = WriteEnd(os.dup(process.stdin.fileno())) if process.stdin is not None else None
        self._output = ReadEnd(os.dup(process.stdout.fileno())) if process.stdout is not None else None
        self._errors = Tail(os.dup(process.stderr.fileno()), _KEPT_OF_STDERR) if process.stderr is not None else None
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        self._watch(loop)

    @classmethod
    def start(
        cls,
        command: str,
        *,
        is_fed: bool = False,
        is_read: bool = False,
        joins_stderr: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Start a command.

        Args:
            command: for `/bin/sh -c`; from the configuration, and from nowhere else.
            is_fed: whether `write` is used; else its standard input is empty.
            is_read: whether `read` is used; else its standard output is thrown away.
            joins_stderr: whether what it writes to standard error comes with the rest.
            environment: variables beside ours.

        Raises:
            OSError: there is no process to be had.
        """
        process = subprocess.Popen(  # noqa: S603 - see `command`
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE if is_fed else subprocess.DEVNULL,
            stdout=subprocess.PIPE if is_read else subprocess.DEVNULL,
            stderr=subprocess.STDOUT if joins_stderr else subprocess.PIPE,
            env=None if environment is None else {**os.environ, **environment},
            start_new_session=True,
            bufsize=0,
        )
        try:
            GUARD.watch(process.pid)
            return cls(process, command)
        except BaseException:
            _signal_group(process.pid, signal.SIGKILL)
            process.wait()
            GUARD.forget(process.pid)
            raise

    @property
    def has_ended(self) -> bool:
        """Whether the command itself has ended; what it has started may still run."""
        return self._ended.done()

    @property
    def is_silent(self) -> bool:
        """Whether whoever reads what it writes waits for more of it."""
        return self._output is not None and self._output.is_waiting

    @property
    def last_words(self) -> str:
        """The last that it has written to standard error, for messages: in quotes, and on one line."""
        if self._errors is None or not (text := self._errors.text.strip()):
            return "nothing"
        return repr(text[-_SHOWN:].decode("utf-8", "replace"))

    async def write(self, data: bytes) -> None:
        """Give it something to read; returns when the kernel has all of it, and waits for a child that reads slowly.

        Raises:
            ChildOver: it reads no more; it may have read some of it.
        """
        assert self._input is not None, "is_fed was not given"  # noqa: S101 - a mistake of the stage
        try:
            await self._input.write(data)
        except BrokenPipeError as problem:
            raise ChildOver(f"the command has closed its input or has ended: {problem}") from problem

    async def taken(self) -> None:
        """Wait until it has read all that it was given.

        Raises:
            ChildOver: it has ended before.
        """
        assert self._input is not None, "is_fed was not given"  # noqa: S101 - a mistake of the stage
        if not await self._input.drained(self._ended.done):
            raise ChildOver(f"the command has ended with {self._input.unread()} bytes of its input unread")

    def close_input(self) -> None:
        """Let it find the end of its input; safe to call twice."""
        if self._input is not None:
            self._input.close()

    async def read(self, most: int = 65536) -> bytes:
        """Return what it has written, `most` bytes of it; b"" at the end.

        Where what it has started still writes when it has ended, that is killed after `LINGER_SECONDS`.
        """
        assert self._output is not None, "is_read was not given"  # noqa: S101 - a mistake of the stage
        return await self._output.read(most)

    async def wait(self) -> Exit:
        """Wait until the command itself has ended."""
        return await asyncio.shield(self._ended)

    def terminate(self) -> None:
        """Send SIGTERM to it and to what it has started."""
        if not self._is_let_go:
            _signal_group(self.pid, signal.SIGTERM)

    async def end(self, *, patience: float = 0.0, term_seconds: float = TERM_SECONDS) -> Exit:
        """Have it end, and all that it has started; returns when it is gone. Safe to call twice.

        Args:
            patience: seconds for it to end by itself, at the end of its input, before SIGTERM.
            term_seconds: seconds from SIGTERM to SIGKILL.
        """
        try:
            self.close_input()
            if patience:
                await self._ends_within(patience)
            if not self._ended.done():
                self.terminate()
                await self._ends_within(term_seconds)
        finally:
            self.kill()
        await self._ends_within(KILL_SECONDS)
        return self._ended.result() if self._ended.done() else Exit(None)

    def kill(self) -> None:
        """Kill it and what it has started, and let go of it at once; safe to call twice."""
        if self._is_let_go:
            return
        self._is_let_go = True
        if self._lingering is not None:
            self._lingering.cancel()
        _signal_group(self.pid, signal.SIGKILL)
        for end in (self._input, self._output, self._errors):
            if end is not None:
                end.close()
        if self._ended.done():
            self._reap()

    async def _ends_within(self, seconds: float) -> None:
        await asyncio.wait((self._ended,), timeout=seconds)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """See its end; it stays a zombie until it is let go of, so that no other process can have its number."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # not on Linux, or an old one
            threading.Thread(target=self._wait, args=(loop,), name=f"child {self.pid}", daemon=True).start()
            return
        loop.add_reader(descriptor, self._has_ended, loop, descriptor)

    def _has_ended(self, loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        self._settle(_exit_of(self.pid))

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        found = _exit_of(self.pid)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(self._settle, found)

    def _settle(self, found: Exit) -> None:
        if not self._ended.done():
            self._ended.set_result(found)
        if self._is_let_go:
            self._reap()
        else:
            loop = self._ended.get_loop()
            self._lingering = loop.call_later(LINGER_SECONDS, _signal_group, self.pid, signal.SIGKILL)

    def _reap(self) -> None:
        _signal_group(self.pid, signal.SIGKILL)  # what it has started since
        GUARD.forget(self.pid)
        self._process.wait()


def _exit_of(pid: int) -> Exit:
    """Return how a child has ended, and leave it a zombie; waits for its end."""
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    except ChildProcessError:
        return Exit(None)
    if found is None:
        return Exit(None)
    if found.si_code == os.CLD_EXITED:
        return Exit(found.si_status)
    return Exit(None, found.si_status)


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
