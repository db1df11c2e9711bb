"""Runs several workers, each a process: starts and restarts them, and forwards signals."""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from logpipe import signals
from logpipe.engine.logging.setup import reopen
from logpipe.engine.system import SystemOptions
from logpipe.sockets.opening import Here
from logpipe.sockets.shared import SOCKETS_FD, Share
from logpipe.supervisor.daemon import leave_terminal
from logpipe.supervisor.restarting import CANNOT_START, Trial, command
from logpipe.supervisor.settings import Settings
from logpipe.supervisor.worker import GRACE_SECONDS, UNRECOVERABLE

LASTING_SECONDS: Final = 60.0
"""Seconds; a worker that dies after running longer is restarted at once."""
FIRST_BACK_OFF: Final = 1.0
LONGEST_BACK_OFF: Final = 60.0
STARTED_FD: Final = "LOGPIPE_STARTED_FD"
"""The environment variable with the descriptor through which a worker reports its start."""
KILL_SECONDS: Final = 2.0
"""Seconds after its own deadline at which a worker is killed."""


@dataclass(slots=True)
class _Worker:
    worker_id: int
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    deaths: int = 0
    """How many times in a row it has died early."""
    start_at: float = 0.0
    """The time of its next start."""
    report: int | None = None
    """The pipe through which it reports its start; None once it has started or ended."""
    channel: socket.socket | None = None
    """The channel for its requests of listening sockets; None where these are not shared, and once it has ended."""


class Supervisor:
    """Keeps workers and their listening sockets until a signal to stop; it loads no plugin."""

    def __init__(
        self,
        settings: Settings,
        system: SystemOptions,
        log: logging.Logger,
        started: Callable[[], object],
        opener: Here,
    ) -> None:
        self._share = None if system.disable_shared_socket else Share(opener)
        self._settings = settings
        self._command = (*command(settings), "--under-supervisor")
        self._more: tuple[str, ...] = ()
        self._trial: Trial | None = None
        """What checks whether the program can take its own place."""
        self.is_replaced = False
        """Whether it is to, now that `run` has ended."""
        self._grace = float(system.shutdown_timeout) + GRACE_SECONDS + KILL_SECONDS
        self._interval = float(system.restart_worker_interval)
        self._workers = [_Worker(number) for number in range(system.workers)]
        self._log = log
        self._stop_by: float | None = None
        self._status = 0
        self._started = started
        """Called once, when the inputs of all workers have started."""
        self._starting = {worker.worker_id for worker in self._workers}

    def run(self) -> int:
        """Run until a signal or a worker that cannot run ends it.

        Returns:
            0; 2 where a worker could not run at all; 1 where one failed to end as it should.
        """
        with _open_signal_pipe() as pipe:
            while self._is_active():
                self._start_due()
                for number in _received(pipe, self._seconds_to_wait(), [*self._reports(), *self._channels()]):
                    self._react(number)
                self._read_reports()
                self._send_sockets()
                self._reap()
                self._kill_late()
                self._judge()
        return self._status

    def _is_active(self) -> bool:
        return self._stop_by is None or any(worker.process is not None for worker in self._workers)

    def _start_due(self) -> None:
        for worker in self._workers:
            if self._stop_by is None and worker.process is None and worker.start_at <= time.monotonic():
                worker.began = time.monotonic()
                started_by = (*self._command, str(worker.worker_id), *self._more)
                reader, writer = os.pipe()
                passed = {STARTED_FD: writer}
                if self._share is not None:
                    worker.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                    passed[SOCKETS_FD] = theirs.detach()
                environment = {**os.environ, **{name: str(number) for name, number in passed.items()}}
                with signals.held_for_child():
                    worker.process = subprocess.Popen(started_by, pass_fds=tuple(passed.values()), env=environment)  # noqa: S603 - this program, as it was started
                for number in passed.values():
                    os.close(number)
                worker.report = reader

    def _reports(self) -> list[int]:
        return [worker.report for worker in self._workers if worker.report is not None]

    def _read_reports(self) -> None:
        """Record which workers have started, or ended before; call `started` when all have started."""
        readable, _, _ = select.select(self._reports(), [], [], 0)
        for worker in self._workers:
            if worker.report is not None and worker.report in readable:
                if os.read(worker.report, 1):
                    self._starting.discard(worker.worker_id)
                    if not self._starting:
                        self._started()
                        if self._share is not None:
                            self._share.settle()
                os.close(worker.report)
                worker.report = None

    def _channels(self) -> list[int]:
        return [worker.channel.fileno() for worker in self._workers if worker.channel is not None]

    def _send_sockets(self) -> None:
        """Open and hand out what workers ask for."""
        readable, _, _ = select.select(self._channels(), [], [], 0)
        for worker in self._workers:
            if self._share is None or worker.channel is None or worker.channel.fileno() not in readable:
                continue
            if not self._share.answer(worker.worker_id, worker.channel):
                worker.channel.close()
                worker.channel = None

    def _seconds_to_wait(self) -> float | None:
        if self._stop_by is not None:
            return max(0.0, self._stop_by - time.monotonic())
        starts = [worker.start_at for worker in self._workers if worker.process is None]
        return max(0.0, min(starts) - time.monotonic()) if starts else None

    def _react(self, number: int) -> None:
        if number in {*signals.STOPS, signal.SIGQUIT} and self.is_replaced:
            self.is_replaced = False  # the workers are about to end
        elif number == signal.SIGQUIT or (number in signals.STOPS and self._stop_by is not None):
            self._stop(signal.SIGQUIT)
        elif number in signals.STOPS:
            self._log.info("received graceful stop (%s)", signal.Signals(number).name)
            self._stop(signal.SIGTERM)
        elif number == signal.SIGUSR2:
            if self._stop_by is None and self._trial is None:
                try:
                    self._trial = Trial(self._settings, self._log)
                except OSError as problem:
                    self._log.error(CANNOT_START, problem)
        elif number in signals.LATER:
            if number == signal.SIGUSR1:
                reopen(self._log)
            if number == signal.SIGWINCH:
                self._more = ("--ends-source-only",)  # for those that die and start again
            self._signal_all(number)

    def _judge(self) -> None:
        """Stop the workers where the program can take its own place; the sockets stay open."""
        if self._trial is None or not self._trial.has_ended:
            return
        trial, self._trial = self._trial, None
        if self._stop_by is None and trial.is_good():
            self.is_replaced = True
            self._stop(signal.SIGTERM)

    @property
    def sockets(self) -> list[socket.socket]:
        """The listening sockets that it keeps."""
        return [] if self._share is None else self._share.sockets

    def _stop(self, number: int) -> None:
        self._stop_by = self._stop_by or time.monotonic() + self._grace
        self._signal_all(number)

    def _signal_all(self, number: int) -> None:
        for worker in self._workers:
            if worker.process is not None:
                worker.process.send_signal(number)

    def _reap(self) -> None:
        for worker in self._workers:
            if worker.process is not None and (status := worker.process.poll()) is not None:
                worker.process = None
                self._ended(worker, status)

    def _ended(self, worker: _Worker, status: int) -> None:
        if self._stop_by is not None:
            self._status = self._status or int(status != 0)
            return
        lasted = time.monotonic() - worker.began
        if status == UNRECOVERABLE and not worker.start_at:
            self._log.error("worker #%d cannot run: stopping", worker.worker_id)
            self._status = UNRECOVERABLE
            self._stop(signal.SIGTERM)
            return
        worker.deaths = 1 if lasted >= LASTING_SECONDS else worker.deaths + 1
        pause = max(self._interval, self._back_off(worker.deaths) if lasted < LASTING_SECONDS else 0.0)
        worker.start_at = time.monotonic() + pause
        self._log.error(
            "worker #%d ended unexpectedly with status %d after %.1f seconds%s; it starts again in %.0f seconds",
            worker.worker_id,
            status,
            lasted,
            f", {worker.deaths} times in a row" if worker.deaths > 1 else "",
            pause,
        )

    def _back_off(self, deaths: int) -> float:
        return min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2.0 ** (deaths - 1))

    def _kill_late(self) -> None:
        if self._stop_by is None or time.monotonic() < self._stop_by:
            return
        for worker in self._workers:
            if worker.process is not None:
                self._log.error("worker #%d has not ended within %.0f seconds: killed", worker.worker_id, self._grace)
                worker.process.kill()
                worker.process.wait()


def _received(pipe: socket.socket, seconds: float | None, others: Sequence[int]) -> list[int]:
    """Wait for a signal, for so many seconds or without limit, or until one of the `others` is readable.

    Returns all pending signals in order, each number once.
    """
    select.select([pipe.fileno(), *others], [], [], seconds)
    with suppress(BlockingIOError):
        return list(dict.fromkeys(pipe.recv(4096)))
    return []


def report_started(settings: Settings) -> None:
    """Report to this worker's supervisor, once, that its inputs have started."""
    if settings.daemon is not None:
        leave_terminal()
    descriptor = os.environ.pop(STARTED_FD, "")
    if descriptor:
        with suppress(OSError):  # the supervisor has ended
            os.write(int(descriptor), b".")
            os.close(int(descriptor))


@contextmanager
def _open_signal_pipe() -> Iterator[socket.socket]:
    """Give the pipe into which Python writes the numbers of received signals, so that none is lost between reads."""
    receiver, sender = socket.socketpair()
    with receiver, sender:
        receiver.setblocking(False)
        sender.setblocking(False)
        signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        for number in signals.ALL:
            signal.signal(number, lambda _number, _frame: None)
        signals.release()
        try:
            yield receiver
        finally:
            signals.hold_for_next()  # another program may take the place of this one, which handles them
            signal.set_wakeup_fd(-1)
