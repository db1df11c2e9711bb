"""Listening sockets outlive graphs and workers: nobody who comes in between is turned away."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from logpipe.builtin.in_monitor_agent import plugin
from logpipe.net import accepting
from logpipe.net.http import connection
from logpipe.testing import DEADLINE, wait_for
from tests.services.ports import adjacent_ports
from tests.services.waiting import wait_until
from tests.supervisor.in_process import in_this_process
from tests.supervisor.running import PATIENCE, Running

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
HEALTH = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n%s\r\n"


def agent(port: int, more: str = "", bind: str = "127.0.0.1") -> str:
    """Return a configuration with a server."""
    return f"<source>\n@type monitor_agent\nbind {bind}\nport {port}\n{more}\n</source>\n"


@asynccontextmanager
async def connected(
    port: int, host: str = "127.0.0.1"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect until the block ends."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


async def answered(port: int, host: str = "127.0.0.1") -> bytes:
    """Ask once, by a connection of its own."""
    async with asyncio.timeout(DEADLINE), connected(port, host) as (reader, writer):
        writer.write(HEALTH % b"Connection: close\r\n")
        return await reader.read()


async def closes(port: int, host: str = "127.0.0.1") -> None:
    """Wait until nobody listens any more, which is soon after the new graph has started."""
    async with asyncio.timeout(DEADLINE):
        while True:
            with suppress(ConnectionResetError):  # it was in the queue when that was closed
                try:
                    await answered(port, host)
                except ConnectionRefusedError:
                    return


async def comes_once(port: int, counts: Counter[str]) -> None:
    """Ask by one connection for each request, as curl does."""
    while True:
        counts["new" if b" 200 OK" in await answered(port) else "new, refused"] += 1


async def keeps_on(port: int, counts: Counter[str]) -> None:
    """Ask again and again by one connection, which nobody may close."""
    async with connected(port) as (reader, writer):
        while True:
            writer.write(HEALTH % b"")
            async with asyncio.timeout(DEADLINE):
                head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            assert length
            await reader.readexactly(int(length[1]))
            counts["kept" if b" 200 OK" in head else "kept, refused"] += 1
            await asyncio.sleep(0)


async def browses(port: int, counts: Counter[str]) -> None:
    """Ask by a library that keeps connections."""
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"http://127.0.0.1:{port}/api/health") as response:
                counts["pool" if response.status == 200 else "pool, refused"] += 1
                await response.read()
            await asyncio.sleep(0)


@asynccontextmanager
async def steadily(port: int) -> AsyncIterator[Counter[str]]:
    """Send requests in all of these ways until the block ends; any that fails ends it."""
    counts: Counter[str] = Counter()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(port, counts)) for ask in (comes_once, keeps_on, browses)]
        try:
            yield counts
        finally:
            for task in tasks:
                task.cancel()


@pytest.mark.long("twenty reloads under requests")
@pytest.mark.usefixtures("own_signals")
async def test_every_request_is_answered(tmp_path: Path) -> None:
    """Through twenty reloads, by new connections and by old ones."""
    config, port = tmp_path / "conf", adjacent_ports(1)
    config.write_text(agent(port))
    async with in_this_process(config, tmp_path / "log") as worker, steadily(port) as counts:
        for _ in range(20):
            before = dict(counts)
            await worker.reload()
            async with asyncio.timeout(DEADLINE):
                while any(counts[way] < before.get(way, 0) + 5 for way in ("new", "kept", "pool")):
                    await asyncio.sleep(0.01)
    assert set(counts) == {"new", "kept", "pool"}


@pytest.mark.usefixtures("own_signals")
async def test_a_changed_address(tmp_path: Path) -> None:
    """The old one is closed when the new one is open, also where the old one is in the way of the new one."""
    config, port = tmp_path / "conf", adjacent_ports(2)
    other = port + 1
    config.write_text(agent(port))
    async with in_this_process(config, tmp_path / "log") as worker:
        for bind, is_for_all in (("127.0.0.1", False), ("0.0.0.0", True), ("127.0.0.1", False)):  # noqa: S104 - in the way
            config.write_text(agent(other, bind=bind))
            await worker.reload()
            assert b" 200 OK" in await answered(other)
            await closes(port)
            if is_for_all:
                assert b" 200 OK" in await answered(other, "127.0.0.2")
            else:
                await closes(other, "127.0.0.2")


@pytest.mark.usefixtures("own_signals")
async def test_an_address_that_is_taken(tmp_path: Path) -> None:
    """It is said with the section and a way out; what runs goes on without having been stopped."""
    config, log, port = tmp_path / "conf", tmp_path / "log", adjacent_ports(1)
    config.write_text(agent(port))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        async with in_this_process(config, log), steadily(port) as counts:
            config.write_text(agent(number) + agent(0, "@id free"))
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(DEADLINE):
                while "the one before stays in use" not in log.read_text() or len(counts) < 3:
                    await asyncio.sleep(0.01)
    said = log.read_text()
    assert (
        f"<source> @type monitor_agent at {config}:1:1: cannot listen at port {number} of 127.0.0.1: "
        "address already in use: stop what uses it, or give another"
    ) in said
    assert said.count("shutting down input plugin") == 1  # at the end
    assert set(counts) == {"new", "kept", "pool"}


@pytest.mark.usefixtures("own_signals")
async def test_a_server_with_other_limits(tmp_path: Path) -> None:
    """Connections that were made under other terms are closed, behind what they are being answered."""
    config, port = tmp_path / "conf", adjacent_ports(1)
    config.write_text(agent(port))
    async with in_this_process(config, tmp_path / "log") as worker, connected(port) as (reader, writer):
        writer.write(HEALTH % b"")
        assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
        config.write_text(agent(port, "<transport>\nlinger_timeout 1\n</transport>"))
        await worker.reload()
        async with asyncio.timeout(DEADLINE):
            assert await reader.read() == b'{"status":"ok"}'


@pytest.mark.usefixtures("own_signals")
async def test_requests_between_two_graphs(tmp_path: Path) -> None:
    """They wait, and the next graph answers: what the old one took now, it could not deliver any more."""
    config, port = tmp_path / "conf", adjacent_ports(1)
    config.write_text(agent(port, "@id before"))
    held = f"<match x>\n@type lines\npath {tmp_path}/out\ntrouble start_held\n</match>\n"
    request = b"GET /api/plugins.json HTTP/1.1\r\nHost: localhost\r\nConnection: %s\r\n\r\n"
    async with in_this_process(config, tmp_path / "log") as worker, connected(port) as (kept, ask_kept):
        ask_kept.write(request % b"keep-alive")
        assert b" 200 OK" in await kept.readuntil(b"\r\n\r\n")
        assert b'"before"' in await kept.readuntil(b"]}")
        config.write_text(agent(port, "@id after") + held)
        reloading = asyncio.ensure_future(worker.reload())  # noqa: TID251
        await wait_for((tmp_path / "out.at").exists, "the start of the output")
        async with connected(port) as (new, ask_new):
            for writer in (ask_new, ask_kept):
                writer.write(request % b"close")
            (tmp_path / "out.go").touch()
            async with asyncio.timeout(DEADLINE):
                assert b'"after"' in await new.read()
                assert b'"after"' in await kept.read()
        await reloading


@pytest.mark.usefixtures("own_signals")
async def test_a_crowd_between_two_graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More clients than there may be, which keep their connections, come during a reload: each is answered.

    Also where only the bytes that have come keep a new connection from making room.
    """
    for module in (accepting, connection):
        monkeypatch.setattr(module, "CHANCE", 0.0)
    monkeypatch.setattr(plugin, "LIMITS", replace(plugin.LIMITS, connections=8))
    config, port = tmp_path / "conf", adjacent_ports(1)
    config.write_text(agent(port))
    held = f"<match x>\n@type lines\npath {tmp_path}/out\ntrouble start_held\n</match>\n"
    async with in_this_process(config, tmp_path / "log") as worker, AsyncExitStack() as clients:
        config.write_text(agent(port) + held)
        reloading = asyncio.ensure_future(worker.reload())  # noqa: TID251
        await wait_for((tmp_path / "out.at").exists, "the start of the output")
        crowd = [await clients.enter_async_context(connected(port)) for _ in range(100)]
        for _, writer in crowd:
            writer.write(HEALTH % b"")
        (tmp_path / "out.go").touch()
        async with asyncio.timeout(DEADLINE):
            for reader, _ in crowd:
                assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
        await reloading


@pytest.mark.usefixtures("own_signals")
async def test_another_kind_of_stage(tmp_path: Path) -> None:
    """It takes the socket over, and connections that it cannot go on with are closed."""
    config, port = tmp_path / "conf", adjacent_ports(1)
    config.write_text(agent(port))
    async with in_this_process(config, tmp_path / "log") as worker, connected(port) as (reader, writer):
        writer.write(HEALTH % b"")
        assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
        config.write_text(f"<source>\n@type held\nport {port}\n</source>\n")
        await worker.reload()
        async with asyncio.timeout(DEADLINE):
            assert await reader.read() == b'{"status":"ok"}'
        async with connected(port) as (late, ask_late):
            ask_late.write(HEALTH % b"Connection: close\r\n")
            config.write_text(agent(port))
            await worker.reload()
            assert b" 200 OK" in await late.read()


def test_two_on_one_address(tmp_path: Path) -> None:
    """It is a mistake of the configuration, found before anything starts."""
    with Running(tmp_path) as running:
        running.config.write_text(agent(24220) + agent(24220))
        running.start()
        assert running.end() == 1
        assert "port 24220 of 127.0.0.1 is already used by <source> @type monitor_agent at" in running.said


def ask(port: int, path: str) -> dict[str, object]:
    """Ask a server."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
        document: dict[str, object] = json.load(answer)
        return document


def workers(running: Running, port: int, more: str = "") -> None:
    """Configure two workers, each with a server."""
    running.config.write_text(f"<system>\nworkers 2\n{more}\n</system>\n{agent(port)}")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_dies(running: Running, number: signal.Signals) -> None:
    """Who comes while it is away waits, and is answered by the one that takes its place."""
    port = adjacent_ports(2)
    workers(running, port)
    running.start()
    running.has_said("listening at http://", times=2)
    pid = ask(port, "/api/config.json")["pid"]
    assert isinstance(pid, int)
    os.kill(pid, number)
    running.has_said("worker #0 ended unexpectedly")
    again = ask(port, "/api/config.json")
    assert again["pid"] != pid
    assert running.stop() == 0


def test_workers_without_shared_sockets(running: Running) -> None:
    """Each opens its own, and nobody keeps that of one who dies."""
    port = adjacent_ports(2)
    workers(running, port, "disable_shared_socket true\nrestart_worker_interval 90")
    running.start()
    running.has_said("listening at http://", times=2)
    pid = ask(port, "/api/config.json")["pid"]
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)
    running.has_said("worker #0 ended unexpectedly")
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass
    running.send(signal.SIGTERM)
    running.end()


def test_workers_that_move(running: Running) -> None:
    """What no worker uses any more is closed by their supervisor too."""
    port = adjacent_ports(4)
    other = port + 2
    workers(running, port)
    running.start()
    running.has_said("listening at http://", times=2)
    workers(running, other)
    running.send(signal.SIGHUP)
    running.has_said("listening at http://", times=4)
    assert ask(other, "/api/health") == {"status": "ok"}

    def is_refused() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0

    wait_until(is_refused, seconds=PATIENCE, what="the old port to be closed")
    assert running.stop() == 0


SYSTEMD = """\
import os, socket, sys
with socket.create_server(("127.0.0.1", 0)) as given:
    print(given.getsockname()[1], flush=True)
    os.dup2(given.fileno(), 3)
    os.set_inheritable(3, True)  # it may have been 3 already
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
    text = open(sys.argv[1]).read().replace("PORT", str(given.getsockname()[1]))
    open(sys.argv[1], "w").write(text)
    os.execv(sys.executable, [sys.executable, "-m", "logpipe", "-c", sys.argv[1]])
"""


@pytest.mark.parametrize("count", [1, 2])
def test_a_socket_of_systemd(running: Running, count: int) -> None:
    """The process is started with it, and listens there; the next one finds it as it is."""
    text = f"<system>\nworkers {count}\n</system>\n<worker 0>\n{agent(0)}</worker>\n".replace("port 0", "port PORT")
    running.config.write_text(text)
    script = running.folder / "systemd.py"
    script.write_text(SYSTEMD)
    running.start_script(script)
    running.has_said("listening at http://")
    port = int(running.said.split()[0])
    assert ask(port, "/api/health") == {"status": "ok"}
    assert running.stop() == 0
