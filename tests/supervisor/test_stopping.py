"""TERM, INT and QUIT at every stage of a worker's life: it ends by its deadline, and nothing is lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.services.waiting import wait_until
from tests.supervisor.running import PATIENCE, Running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_graceful_stop_delivers_what_was_read(running: Running, number: signal.Signals) -> None:
    """What stands in a buffer in memory is delivered once, and not read again by the next run."""
    running.configure(flush_interval="1h")
    running.write(1000)
    running.start()
    running.has_said("following tail of")
    running.has_buffered()
    running.send(number)
    assert running.end() == 0
    running.start()
    running.has_said("following tail of", times=2)
    assert running.stop() == 0
    assert running.delivered == running.written


def test_term_while_a_module_is_imported(running: Running) -> None:
    """Before there is anything to stop it ends at once, having touched nothing."""
    (running.folder / "endless.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(3600)\n")
    running.configure()
    running.start("-I", str(running.folder), "-r", "endless")
    running.has_said("importing")
    assert running.stop() == 0
    assert not (running.folder / "positions").exists()


def test_term_while_an_output_starts(running: Running) -> None:
    """What waits for ever in its start keeps nobody from stopping."""
    running.configure(output="trouble start_waits")
    running.write(10)
    running.start()
    running.has_come_to("start")
    assert running.stop() == 0
    assert "stopping before everything had started" in running.said
    running.configure()
    running.start()
    running.has_delivered_all()
    assert running.stop() == 0
    assert running.delivered == running.written


def test_term_during_a_flush(running: Running) -> None:
    """A chunk that is being written is waited for: each line is there once."""
    running.configure(output="trouble held", shutdown_timeout="1h")
    running.write(100)
    running.start()
    running.has_come_to("write")
    running.send(signal.SIGTERM)
    running.has_said("received graceful stop (SIGTERM)")
    running.let_go()
    assert running.end() == 0
    assert running.delivered == running.written


def test_term_with_an_output_that_never_answers(running: Running) -> None:
    """After shutdown_timeout it ends all the same; what was not delivered is read again."""
    running.configure(output="trouble never_answers", shutdown_timeout="1s")
    running.write(10)
    running.start()
    running.has_come_to("write")
    assert running.stop() == 0
    assert "shutdown_timeout of 1 seconds passed before everything was delivered" in running.said
    running.configure()
    running.start()
    running.has_delivered_all()
    assert running.stop() == 0
    assert running.delivered == running.written


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (signal.SIGTERM, signal.SIGTERM),
        (signal.SIGINT, signal.SIGINT),
        (signal.SIGTERM, signal.SIGINT),
        (None, signal.SIGQUIT),
    ],
)
def test_a_second_signal_stops_at_once(running: Running, first: signal.Signals | None, second: signal.Signals) -> None:
    """It does not wait for the output, and what was not delivered is read again."""
    running.configure(output="trouble never_answers", shutdown_timeout="1h")
    running.write(10)
    running.start()
    running.has_come_to("write")
    if first is not None:
        running.send(first)
        running.has_said(f"received graceful stop ({first.name})")
    running.send(second)
    assert running.end() == 0
    assert f"received {second.name}: stopping at once" in running.said
    running.configure()
    running.start()
    running.has_delivered_all()
    assert running.stop() == 0
    assert running.delivered == running.written


@pytest.mark.slow("the process gives itself five seconds to end")
def test_a_plugin_that_blocks_everything(running: Running) -> None:
    """The process ends at the deadline, five seconds after shutdown_timeout, whatever hangs; positions are kept."""
    running.configure(output="trouble stop_blocks", shutdown_timeout="0.1")
    running.write(10)
    running.start()
    running.has_delivered_all()
    assert running.stop() == 1
    assert running.places("stop") == 1
    assert "not stopped within 5 seconds" in running.said


def test_usr1_flushes_and_opens_the_log_again(running: Running) -> None:
    """What waits for its time is delivered now, and a log that was renamed is begun anew."""
    log, renamed = running.folder / "log", running.folder / "log.1"
    running.configure(flush_interval="1h")
    running.write(10)
    running.start("-o", str(log))
    wait_until(lambda: log.exists() and "following tail of" in log.read_text(), seconds=PATIENCE, what="the start")
    log.rename(renamed)

    def flushed() -> bool:
        running.send(signal.SIGUSR1)
        return set(running.written) <= set(running.delivered)

    wait_until(flushed, seconds=PATIENCE, what="the lines to be flushed")
    assert running.stop() == 0
    assert running.delivered == running.written
    assert "flushing all buffers" in renamed.read_text()
    assert "logpipe stopped" in log.read_text()


def test_cont_says_what_it_does(running: Running) -> None:
    """Buffers and tasks are listed in the log, and it works on."""
    running.configure(output="trouble never_answers", shutdown_timeout="0.1")
    running.write(10)
    running.start()
    running.has_come_to("write")
    running.send(signal.SIGCONT)
    running.has_said("state: buffer of output_lines: bytes=")
    running.has_said("state: task output.output_lines.write-0: ")
    assert "Lines.write" in running.said
    assert running.stop() == 0


def test_a_background_process(running: Running) -> None:
    """The command ends when the file holds the process id; the file is gone when that process is."""
    pid_file = running.folder / "pid"
    running.configure()
    running.write(10)
    running.start("-d", str(pid_file))
    assert running.end() == 0
    pid = int(pid_file.read_text())
    running.has_delivered_all()
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not pid_file.exists(), seconds=PATIENCE, what="the end of the background process")
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), seconds=PATIENCE, what="the process to be gone")
    assert running.delivered == running.written


def test_a_background_process_that_cannot_run(running: Running) -> None:
    """What is wrong is said where the command was given, whose status is 1."""
    running.configure(output="trouble nonsense")
    running.start("-d", str(running.folder / "pid"))
    assert running.end() == 1
    assert "trouble" in running.said
    assert not (running.folder / "pid").exists()
