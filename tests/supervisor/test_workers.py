"""Several workers under a supervisor: started, started again, and told of every signal."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.services.waiting import wait_until
from tests.supervisor.running import PATIENCE, Running


def pids(running: Running, worker: int) -> list[int]:
    """Return the process ids that a worker has had, the first one first."""
    return [int(pid) for pid in re.findall(rf"#{worker} starting logpipe pid=(\d+)", running.said)]


def both_run(running: Running) -> None:
    """Wait until two workers have begun."""
    for worker in (0, 1):
        running.has_said(f"#{worker} starting logpipe pid=")
    running.has_come_to("start", times=2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_graceful_stop(running: Running, number: signal.Signals) -> None:
    """All workers deliver what they have; the source stands in one of them."""
    running.configure(workers=2, flush_interval="1h")
    running.write(100)
    running.start()
    both_run(running)
    running.has_said("following tail of")
    running.has_buffered()
    running.send(number)
    assert running.end() == 0
    assert running.said.count("logpipe stopped") == 2
    running.start()
    both_run(running)
    running.has_said("following tail of", times=2)
    assert running.stop() == 0
    assert running.delivered == running.written


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_every_process(running: Running, number: signal.Signals) -> None:
    """Ctrl-C and systemd reach workers and supervisor, which tells them too: that is no second order to stop."""
    running.configure(workers=2, output="pause 0.01")
    running.write(100)
    running.start()
    both_run(running)
    running.has_come_to("write")
    os.killpg(running.process.pid, number)
    assert running.end() == 0
    assert "at once" not in running.said
    running.configure(workers=2)
    running.start()
    running.has_delivered_all()
    assert running.stop() == 0
    assert running.delivered == running.written


def test_a_second_signal_stops_at_once(running: Running) -> None:
    """All workers stop without waiting for their outputs."""
    running.configure(workers=2, output="trouble never_answers", shutdown_timeout="1h")
    running.write(10)
    running.start()
    both_run(running)
    running.has_come_to("write")
    running.send(signal.SIGTERM)
    running.has_said("#0 received graceful stop (SIGTERM)")
    running.send(signal.SIGTERM)
    assert running.end() == 0
    assert "#0 received SIGQUIT: stopping at once" in running.said


def test_reload_and_flush_reach_all(running: Running) -> None:
    """Each worker reads the configuration again, in the process that it is."""
    running.configure(workers=2, output="prefix a:", flush_interval="1h")
    running.start()
    both_run(running)
    running.configure(workers=2, output="prefix b:", flush_interval="1h")
    running.send(signal.SIGHUP)
    for worker in (0, 1):
        running.has_said(f"#{worker} starting by the configuration as it was read")
    running.write(10)

    def flushed() -> bool:
        running.send(signal.SIGUSR1)
        return len(running.delivered) == 10

    wait_until(flushed, seconds=PATIENCE, what="the lines to be flushed")
    assert [len(pids(running, worker)) for worker in (0, 1)] == [1, 1]
    assert running.stop() == 0
    assert running.delivered == [f"b:{line}" for line in running.written]


def test_signals_before_a_worker_is_up(running: Running) -> None:
    """None of them ends a worker, or the supervisor, before there are handlers."""
    running.configure(workers=2)
    running.write(10)
    running.start("-v")
    wait_until(lambda: children(running.process.pid), seconds=PATIENCE, what="a worker's process")
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGWINCH, signal.SIGCONT):
        running.send(number)
    running.has_delivered_all()
    both_run(running)
    assert [len(pids(running, worker)) for worker in (0, 1)] == [1, 1]
    assert running.stop() == 0
    assert "unexpectedly" not in running.said


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow("the pauses before it is started again are one and two seconds")
def test_a_worker_that_dies_at_once(running: Running) -> None:
    """It is started again after longer and longer pauses, which the log says."""
    running.configure(workers=2, output="trouble start_dies")
    running.start()
    running.has_said("ended unexpectedly with status 3")
    running.has_said("3 times in a row; it starts again in 4 seconds")
    assert running.stop() == 0


def test_the_pause_of_the_configuration(running: Running) -> None:
    """restart_worker_interval is kept even where a pause would be shorter."""
    running.configure(workers=2, output="trouble start_dies", more="")
    text = running.config.read_text().replace("workers 2", "workers 2\n  restart_worker_interval 90")
    running.config.write_text(text)
    running.start()
    running.has_said("it starts again in 90 seconds", times=2)  # one that is still starting would fail to end in order
    assert running.stop() == 0


def test_a_worker_that_cannot_run(running: Running) -> None:
    """The supervisor stops the others and exits with fluentd's status 2."""
    running.configure(workers=2, output="trouble start_fails")
    running.start()
    assert running.end() == 2
    assert "no such place: make one" in running.said
    assert f"cannot run: <match app> @type lines at {running.config}:" in running.said


def test_a_supervisor_that_is_killed(running: Running) -> None:
    """Its workers stop by themselves: the next supervisor's find nothing locked."""
    running.configure(workers=2)
    running.write(10)
    running.start()
    both_run(running)
    running.process.kill()
    running.end()
    running.has_said("logpipe stopped", times=2)
    running.start()
    running.has_delivered_all()
    assert running.stop() == 0
    assert running.delivered == running.written


@pytest.mark.slow("a worker gives itself five seconds to end")
def test_a_worker_that_hangs(running: Running) -> None:
    """It ends by its own deadline, and the supervisor says with its status that it had to."""
    running.configure(workers=2, output="trouble stop_blocks", shutdown_timeout="0.1")
    running.start()
    both_run(running)
    assert running.stop() == 1
    assert running.said.count("not stopped within 5 seconds") == 2


@pytest.mark.slow("the supervisor gives a worker seven seconds")
def test_a_worker_that_is_stopped(running: Running) -> None:
    """One that can't even end by its own deadline is killed."""
    running.configure(workers=2, shutdown_timeout="0.1")
    running.start()
    both_run(running)
    (frozen,) = pids(running, 1)
    os.kill(frozen, signal.SIGSTOP)
    assert running.stop() == 1
    assert "worker #1 has not ended within 7 seconds: killed" in running.said


def test_in_the_background_with_a_mistake(running: Running) -> None:
    """What is wrong is said where the command was given, whose status is 1."""
    running.configure(workers=2, output="trouble nonsense")
    running.start("-d", str(running.folder / "pid"))
    assert running.end() == 1
    assert "trouble" in running.said
    assert not (running.folder / "pid").exists()


def test_in_the_background(running: Running) -> None:
    """One supervisor with its workers; the file with its process id is gone when it is."""
    pid_file = running.folder / "pid"
    running.configure(workers=2)
    running.write(10)
    running.start("-d", str(pid_file))
    assert running.end() == 0
    pid = int(pid_file.read_text())
    running.has_delivered_all()
    assert len(children(pid)) == 2
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not pid_file.exists(), seconds=PATIENCE, what="the end of the background process")
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), seconds=PATIENCE, what="the process to be gone")
