"""HUP: the configuration is read again, in use only if it is good, and nothing is lost or read twice."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from operator import le
from pathlib import Path

import pytest

from logpipe.engine.running.graph import Graph
from logpipe.supervisor.worker import REST_SECONDS
from logpipe.testing import wait_for
from tests.services.ports import adjacent_ports
from tests.services.waiting import wait_until
from tests.supervisor.in_process import in_this_process
from tests.supervisor.running import Running

SWITCHED = "starting by the configuration as it was read"


def test_a_changed_configuration_takes_over(running: Running) -> None:
    """In the same process, where the one before has stopped."""
    running.configure(output="prefix a:")
    running.write(10)
    running.start()
    wait_until(lambda: len(running.delivered) == 10, seconds=60, what="ten lines")
    running.configure(output="prefix b:")
    running.send(signal.SIGHUP)
    running.has_said(SWITCHED)
    running.write(10)
    wait_until(lambda: len(running.delivered) == 20, seconds=60, what="twenty lines")
    assert running.stop() == 0
    lines = running.written
    assert running.delivered == [f"a:{line}" for line in lines[:10]] + [f"b:{line}" for line in lines[10:]]
    assert running.said.count("starting logpipe pid=") == 1


@pytest.mark.parametrize("mistake", ["trouble nonsense", "</match>", 'prefix "#{nonsense(}"', "trouble never_built"])
def test_a_broken_configuration_is_not_used(running: Running, mistake: str) -> None:
    """What is wrong is said with its place; what runs does not notice."""
    running.configure()
    running.write(10)
    running.start()
    running.has_delivered_all()
    running.configure(output=mistake)
    running.send(signal.SIGHUP)
    running.has_said("the configuration can't be used, the one before stays in use")
    assert f"{running.config}:2" in running.said or "RuntimeError: never built" in running.said
    running.write(10)
    running.has_delivered_all()
    assert "shutting down" not in running.said
    running.configure(output="prefix b:")
    running.send(signal.SIGHUP)
    running.has_said(SWITCHED)
    assert running.stop() == 0


def test_a_configuration_that_cannot_start_is_taken_back(running: Running) -> None:
    """The one before runs again, and nothing is lost."""
    running.configure()
    running.write(10)
    running.start()
    running.has_delivered_all()
    running.configure(output="trouble start_fails")
    running.send(signal.SIGHUP)
    running.has_said("no such place: make one")
    running.has_said("going back to the configuration before")
    running.write(10)
    running.has_delivered_all()
    assert running.stop() == 0
    assert running.delivered == running.written


def test_a_configuration_that_is_gone(running: Running) -> None:
    """It is no reason to stop."""
    running.configure()
    running.write(10)
    running.start()
    running.has_delivered_all()
    running.config.unlink()
    running.send(signal.SIGHUP)
    running.has_said("the configuration can't be used, the one before stays in use")
    running.write(10)
    running.has_delivered_all()
    assert running.stop() == 0


def test_a_plugin_that_does_not_stop(running: Running) -> None:
    """Nothing would be read any more: the process ends by the deadline, for who started it to start it again."""
    running.configure(output="trouble stop_blocks", shutdown_timeout="0.1")
    running.write(10)
    running.start()
    running.has_delivered_all()
    running.configure()
    running.send(signal.SIGHUP)
    assert running.end() == 1
    assert "not stopped within 5 seconds" in running.said


def test_a_configuration_that_cannot_start_at_first(running: Running) -> None:
    """There is none to go back to: the exit status is 1."""
    running.configure(output="trouble start_fails")
    running.start()
    assert running.end() == 1
    assert f"cannot run: <match app> @type lines at {running.config}:19:1: no such place: make one" in running.said


def test_a_buffer_in_files_is_taken_up(running: Running) -> None:
    """What an output could not deliver before the reload is delivered after it."""
    buffer = f"@type file\n    path {running.folder}/buffer"
    running.configure(output="trouble never_answers", buffer=buffer, shutdown_timeout="1")
    running.write(10)
    running.start()
    running.has_come_to("write")
    running.configure(buffer=buffer)
    running.send(signal.SIGHUP)
    running.has_delivered_all()
    assert running.stop() == 0
    assert running.delivered == running.written
    assert "does not add up" not in running.said


def test_a_buffer_that_finds_less_than_was_left(running: Running) -> None:
    """The ledger of the graph after the reload says between which two it was lost, and how much."""
    buffer = f"@type forgetful\n    path {running.folder}/buffer"
    running.configure(output="trouble never_answers", buffer=buffer, shutdown_timeout="1")
    running.write(10)
    running.start()
    running.has_come_to("write")
    running.send(signal.SIGHUP)
    running.has_said("following tail of", times=2)  # inputs start last
    assert running.stop() == 0
    lost = "lost between output output_lines before and output output_lines: 10"
    assert f"the ledger does not add up: {lost}: please report it with the lines above" in running.said


def test_a_buffer_that_moves(running: Running) -> None:
    """What the buffer holds stays in the folder that it was in, and is delivered when the folder is named again."""
    first, second = (f"@type file\n    path {running.folder}/{name}" for name in ("first", "second"))
    running.configure(output="trouble never_answers", buffer=first, shutdown_timeout="1")
    running.write(10)
    running.start()
    running.has_come_to("write")
    running.configure(buffer=second)
    running.send(signal.SIGHUP)
    running.has_said(SWITCHED)
    running.write(10)
    wait_until(lambda: len(running.delivered) == 10, seconds=60, what="the later lines")
    assert running.delivered == running.written[10:]
    running.configure(buffer=first)
    running.send(signal.SIGHUP)
    running.has_delivered_all()
    assert running.stop() == 0
    assert sorted(running.delivered) == sorted(running.written)


def test_what_system_says_of_the_log(running: Running) -> None:
    """The shape of its lines changes with the configuration."""
    running.configure()
    running.start()
    running.has_said("following tail of")
    json = "<system>\n  <log>\n    format json\n  </log>"
    running.config.write_text(running.config.read_text().replace("<system>", json))
    running.send(signal.SIGHUP)
    running.has_said(f'"message":"{SWITCHED}"')
    assert running.stop() == 0


def test_a_storm_of_signals(running: Running) -> None:
    """A hundred within a second are no more reloads than seconds, while lines are written: each arrives once."""
    running.configure()
    running.write(10)
    running.start()
    running.has_delivered_all()
    began = time.monotonic()
    for _ in range(100):
        running.send(signal.SIGHUP)
        running.write(10)
        time.sleep(0.01)  # how often the signals come is what is tried
    running.has_delivered_all()
    running.has_said(SWITCHED)
    reloads = running.said.count("reading the configuration again")
    assert 1 <= reloads <= 2 + (time.monotonic() - began) / REST_SECONDS
    assert running.stop() == 0
    assert sorted(running.delivered) == sorted(running.written), running.said[-5000:]


def test_term_during_a_reload(running: Running) -> None:
    """It ends, whether the old or the new configuration runs at that moment."""
    running.configure(output="trouble held", shutdown_timeout="1h")
    running.write(40)
    running.start()
    running.has_come_to("write")
    running.send(signal.SIGHUP)
    running.has_said("the configuration is good: stopping what runs")
    running.send(signal.SIGTERM)
    running.has_said("received graceful stop (SIGTERM)")
    running.let_go()
    assert running.end() == 0
    assert SWITCHED not in running.said
    assert running.delivered == running.written


def test_signals_during_the_start(running: Running) -> None:
    """What asks for a reload or a flush ends nothing."""
    running.configure(output="trouble start_waits")
    running.start()
    running.has_come_to("start")
    running.send(signal.SIGHUP)
    running.send(signal.SIGUSR1)
    running.has_said("flushing all buffers")
    assert running.stop() == 0


@pytest.mark.long("reload after reload, until what is open would have grown")
@pytest.mark.usefixtures("own_signals")
async def test_reloads_leave_nothing_open(running: Running, tmp_path: Path) -> None:
    """After fifteen there are as many descriptors, tasks and graphs as after five; a client stays all the while."""
    port = adjacent_ports(1)
    running.configure(more=f"<source>\n@type monitor_agent\nbind 127.0.0.1\nport {port}\n</source>")

    def counted() -> tuple[int, int, int]:
        gc.collect()
        graphs = sum(isinstance(each, Graph) for each in gc.get_objects())
        return len(list(Path("/proc/self/fd").iterdir())), len(asyncio.all_tasks()), graphs

    async def delivers() -> None:
        running.write(1)
        await wait_for(lambda: running.delivered == running.written, "the lines")

    async with in_this_process(running.config, tmp_path / "log") as worker:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def reload() -> None:
            await worker.reload()
            # each time: a client that sends nothing for long is politely closed
            writer.write(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b" 200 OK" in await reader.readuntil(b'{"status":"ok"}')

        for _ in range(5):
            await reload()
        await delivers()
        first = counted()
        for _ in range(10):
            await reload()
        await delivers()
        # a file may be open for a moment, at either count
        await wait_for(lambda: all(map(le, counted(), first)), "what the reloads have opened to be closed")
        writer.write(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b" 200 OK" in await reader.read()
        writer.close()
