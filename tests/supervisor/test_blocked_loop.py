"""A stage that never returns: it is named while it blocks the event loop, and the process ends in time all the same."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest

from logpipe.supervisor.worker import GRACE_SECONDS
from tests.services.waiting import wait_until
from tests.supervisor.running import PATIENCE, PLUGINS, Running

pytestmark = pytest.mark.slow("the process gives itself five seconds to end, and the loop as long to turn")


def _start(running: Running, way: str, *, when: str = "", shutdown_timeout: str = "1s", workers: int = 1) -> None:
    """Start a pipeline whose filter is stuck at its first event, and wait until it is."""
    at = running.folder / "stuck"
    settings = f"@type stuck\nway {way}\nat {at}\n" + (f"when {when}\n" if when else "")
    running.configure(more=f"<filter app>\n{settings}</filter>", shutdown_timeout=shutdown_timeout, workers=workers)
    running.write(3)
    running.start()
    wait_until(at.exists, seconds=PATIENCE, what=lambda: f"the filter:\n{running.said}")


@pytest.mark.parametrize(
    ("way", "number", "seconds"),
    [
        ("loops", signal.SIGTERM, GRACE_SECONDS + 1),
        ("sleeps", signal.SIGINT, GRACE_SECONDS + 1),
        ("waits_for_a_lock", signal.SIGQUIT, GRACE_SECONDS),
    ],
)
def test_a_signal_ends_what_never_returns(running: Running, way: str, number: signal.Signals, seconds: float) -> None:
    """With status 1, the stage named, and every line owed to the next run; QUIT does not wait for delivery."""
    _start(running, way, shutdown_timeout="1h" if number == signal.SIGQUIT else "1s")
    running.send(number)
    assert running.end() == 1
    assert f"not stopped within {seconds:.0f} seconds" in running.said
    assert f"in <filter app> @type stuck at {running.config}:" in running.said
    running.start()
    running.has_delivered_all()
    assert running.stop() == 0


def test_a_second_term_is_not_lost_either(running: Running) -> None:
    """It stops at once, whatever the first one would wait for."""
    _start(running, "sleeps", shutdown_timeout="1h")

    def ends() -> bool:
        running.send(signal.SIGTERM)  # the kernel makes one of those that come before the first is handled
        return running.process.poll() is not None

    wait_until(ends, seconds=PATIENCE, what="its end")
    assert running.end() == 1
    assert f"not stopped within {GRACE_SECONDS:.0f} seconds" in running.said


def test_what_blocks_the_loop_is_named_while_it_does(running: Running) -> None:
    """Again after a while, with the line of code; and that it is over, when it is."""
    _start(running, "pauses")
    running.has_said("the event loop has been blocked for")
    running.has_said("the event loop runs again")
    running.has_delivered_all()
    line = next(line for line in running.said.splitlines() if "has been blocked for" in line)
    assert f"s in <filter app> @type stuck at {running.config}:" in line
    code = (PLUGINS / "filter_stuck.py").read_text().splitlines()
    number = int(line.rpartition("filter_stuck.py:")[2].partition(")")[0])
    assert "time.sleep(8)" in code[number - 1]
    assert running.stop() == 0


def test_a_call_that_holds_the_lock_of_the_interpreter_ends_too(running: Running) -> None:
    """The signal came before: from then on it is the kernel that keeps the deadline."""
    go = running.folder / "go"
    _start(running, "holds_the_lock", when=str(go))
    running.send(signal.SIGTERM)
    wait_until(lambda: _has_no_pending(running.process.pid), seconds=PATIENCE, what="the handler")
    go.touch()
    assert running.end() == -signal.SIGALRM
    running.start()
    running.has_delivered_all()
    assert running.stop() == 0


def test_a_supervisor_ends_with_its_stuck_worker(running: Running) -> None:
    """The worker keeps its own deadline, and the other one is not held up."""
    _start(running, "sleeps", workers=2)
    assert running.stop() == 1
    assert "killed" not in running.said


def test_a_stopped_process_is_no_false_alarm(running: Running) -> None:
    """SIGSTOP, as a debugger or a suspended machine: at most one line, and everything goes on."""
    running.configure()
    running.start()
    running.has_said("following tail of")
    running.write(1)
    running.has_delivered_all()
    running.send(signal.SIGSTOP)
    _pass_seconds(7)
    running.send(signal.SIGCONT)
    running.write(1)
    running.has_delivered_all()
    assert running.stop() == 0
    assert "the event loop" not in running.said
    assert running.said.count("nothing of this process ran") <= 1


def test_term_without_memory(running: Running) -> None:
    """Whoever has used it up: no thread has to be started for the end."""
    running.configure(shutdown_timeout="1s")
    running.start()
    running.has_said("following tail of")
    running.write(1)
    running.has_delivered_all()
    size = int(Path(f"/proc/{running.process.pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(running.process.pid, resource.RLIMIT_AS, (size, size))
    assert running.stop() in {0, 1}  # by itself, whatever else there was no memory for
    assert "received graceful stop" in running.said


def _has_no_pending(pid: int) -> bool:
    """Return whether a signal that was sent has been handled, or will be before anything else."""
    status = Path(f"/proc/{pid}/status").read_text()
    return not any(int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigPnd:", "ShdPnd:")))


def _pass_seconds(seconds: int) -> None:
    """Return after so much time, which is the thing itself here."""
    reader, writer = os.pipe()
    with os.fdopen(reader), os.fdopen(writer, "w"):
        signal.sigtimedwait([], seconds)
