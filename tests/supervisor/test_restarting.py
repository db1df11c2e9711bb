"""USR2: the program takes its own place; who sends meanwhile is not refused, and nothing is lost or sent twice."""

from __future__ import annotations

import http.client
import os
import signal
import socket
from contextlib import closing
from pathlib import Path

import msgpack
import pytest

from tests.services.ports import adjacent_ports
from tests.services.waiting import wait_until
from tests.supervisor.running import PATIENCE, Running

STARTED = "starting logpipe pid="


@pytest.mark.parametrize("workers", [1, 2])
def test_a_restart(running: Running, workers: int) -> None:
    """The process is the same, `<system>` is read anew, and every line is delivered once."""
    running.configure(output="prefix a:", workers=workers)
    running.write(10)
    running.start()
    wait_until(lambda: len(running.delivered) == 10, seconds=PATIENCE, what="ten lines")
    running.has_said(STARTED, times=workers)
    running.configure(output="prefix b:", workers=2)
    running.send(signal.SIGUSR2)
    running.has_said(STARTED, times=workers + 2)
    running.write(10)
    wait_until(lambda: len(running.delivered) == 20, seconds=PATIENCE, what=lambda: f"twenty lines:\n{running.said}")
    assert running.stop() == 0
    lines = running.written
    assert running.delivered == [f"a:{line}" for line in lines[:10]] + [f"b:{line}" for line in lines[10:]]
    assert f"the program starts anew pid={running.process.pid}\n" in running.said


@pytest.mark.parametrize("workers", [1, 2])
def test_a_mistake(running: Running, workers: int) -> None:
    """What runs goes on, and the log says what is wrong."""
    running.configure(workers=workers)
    running.write(10)
    running.start()
    running.has_delivered_all()
    running.configure(workers=workers, output="trouble nonsense")
    running.send(signal.SIGUSR2)
    running.has_said("the configuration can't be used, the one before stays in use")
    assert f"{running.config}:2" in running.said
    running.write(10)
    running.has_delivered_all()
    assert running.said.count(STARTED) == workers
    assert running.stop() == 0


LISTENING = """
<source>
  @type tcp
  tag app
  bind 127.0.0.1
  port {}
  <parse>
    @type none
  </parse>
</source>
<source>
  @type forward
  bind 127.0.0.1
  port {}
</source>
<source>
  @type http
  bind 127.0.0.1
  port {}
</source>
"""


def test_connections_go_on(running: Running) -> None:
    """With the half of a message; one of HTTP between two requests."""
    first = adjacent_ports(3)
    ports = [first + number for number in range(3)]
    running.configure(more=LISTENING.format(*ports))
    running.start()
    running.has_said("listening", times=3)
    packed = msgpack.packb(["app", 0, {"message": "forward"}])
    lines = socket.create_connection(("127.0.0.1", ports[0]))
    forward = socket.create_connection(("127.0.0.1", ports[1]))
    client = http.client.HTTPConnection("127.0.0.1", ports[2])
    with closing(lines), closing(forward), closing(client):
        lines.sendall(b"first\nsec")
        forward.sendall(packed + packed[:10])
        client.request(
            "POST", "/app", b'json={"message":"http"}', {"Content-Type": "application/x-www-form-urlencoded"}
        )
        assert client.getresponse().read() == b""
        was = client.sock
        wait_until(lambda: len(running.delivered) == 3, seconds=PATIENCE, what=lambda: running.said)
        running.send(signal.SIGUSR2)
        running.has_said(STARTED, times=2)
        lines.sendall(b"ond\n")
        forward.sendall(packed[10:])
        client.request(
            "POST", "/app", b'json={"message":"http"}', {"Content-Type": "application/x-www-form-urlencoded"}
        )
        assert client.getresponse().status == 200
        assert client.sock is was is not None
        wait_until(lambda: len(running.delivered) == 6, seconds=PATIENCE, what=lambda: running.said)
    assert running.stop() == 0
    assert sorted(running.delivered) == ["first", "forward", "forward", "http", "http", "second"]


@pytest.mark.slow("the program starts four times")
def test_in_the_background(running: Running) -> None:
    """The file with the process id stays as it is, locked, and is gone at the end."""
    pid_file = running.folder / "pid"
    running.configure(workers=1)
    running.write(10)
    running.start("-d", str(pid_file), "-o", str(running.said_in))
    assert running.end() == 0
    pid = int(pid_file.read_text())
    running.has_delivered_all()
    os.kill(pid, signal.SIGUSR2)
    running.has_said(STARTED, times=2)
    running.write(10)
    running.has_delivered_all()
    assert int(pid_file.read_text()) == pid
    running.start("-d", str(pid_file))
    assert running.end() == 1
    assert f"process {pid} runs with this file" in running.said
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), seconds=PATIENCE, what="the end of the background process")
    assert not pid_file.exists()
    assert running.delivered == running.written
