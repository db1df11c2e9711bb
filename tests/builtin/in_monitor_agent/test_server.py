"""The server: who is answered, for how long, at which port."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from logpipe import ConfigError
from logpipe.builtin.in_monitor_agent import MonitorAgent, plugin
from logpipe.testing import DEADLINE, Pipeline, check_plugin, drive, pipeline, wait_for
from logpipe.version import __version__
from tests.builtin.in_monitor_agent.client import COLLECT, ask, port, source
from tests.e2e.program import Logpipe
from tests.services.ports import adjacent_ports


async def test_keeps_the_contract() -> None:
    """An input like any other."""
    await check_plugin(MonitorAgent)


def test_nobody_else_pays_for_the_http_library() -> None:
    """Neither the class nor a check of its configuration imports aiohttp."""
    code = (
        "import sys\n"
        "from logpipe.testing import parse\n"
        "from logpipe.engine.running.graph import Graph\n"
        "from logpipe.registry import Registry\n"
        "text = '<source>\\n@type monitor_agent\\n</source>\\n<match **>\\n@type null\\n</match>\\n'\n"
        "Graph.build(parse(text), registry=Registry(), report=print)\n"
        "sys.exit('aiohttp' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("path", "method", "status", "message"),
    [
        ("/", "GET", 404, "Not found"),
        ("/api/plugins.json/more", "GET", 404, "Not found"),
        ("/api/plugins.json", "POST", 405, "POST is not possible here: use GET"),
        ("/api/plugins.json", "DELETE", 405, "DELETE is not possible here: use GET"),
    ],
)
async def test_what_is_not_there(path: str, method: str, status: int, message: str) -> None:
    """An error is JSON with a message."""
    async with pipeline(source() + COLLECT) as running:
        reply = await ask(running, path, method=method)
        assert (reply.status, reply.document) == (status, {"message": message})


async def exchange(running: Pipeline, request: bytes) -> bytes:
    """Send bytes and return all that comes back until the other side ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port(running))
    try:
        writer.write(request)
        async with asyncio.timeout(DEADLINE):
            return await reader.read()
    finally:
        writer.close()


async def answered(running: Pipeline, request: bytes) -> bytes:
    """Return what comes back, nothing where the connection is broken off."""
    try:
        return await exchange(running, request)
    except ConnectionError:
        return b""


@pytest.mark.parametrize(
    "request_",
    [
        b"NOT HTTP AT ALL\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * 5000 + b"\r\n\r\n",
    ],
    ids=["words", "tls", "long path", "long header"],
)
async def test_what_is_no_request(request_: bytes) -> None:
    """It is refused with JSON, leaves no trace above debug in the log, and the next is answered."""
    async with pipeline(source() + COLLECT) as running:
        head, _, body = (await exchange(running, request_)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.")
        assert b" 400 " in head.splitlines()[0]
        assert json.loads(body) == {"message": "Bad request"}
        assert running.log.texts("error") + running.log.texts("warning") == []
        assert (await ask(running, "/api/health")).status == 200


async def test_one_request_a_connection() -> None:
    """It is closed behind the answer, a body that comes with a request is not read."""
    async with pipeline(source() + COLLECT) as running:
        request = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
        answer = await exchange(running, request)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.count(b"HTTP/1.1") == 1
        assert b"\r\nServer: logpipe\r\n" in answer
        assert b"\r\nCache-Control: no-store\r\n" in answer


async def test_a_page_of_a_stranger() -> None:
    """Its name stands for this machine (DNS rebinding): it reads nothing, and the answer says how to be let in."""
    async with pipeline(source() + COLLECT) as running:
        request = b"GET /api/plugins.json HTTP/1.1\r\nHost: evil.example:24220\r\nConnection: close\r\n\r\n"
        answer = await exchange(running, request)
        assert answer.startswith(b"HTTP/1.1 421 ")
        assert b"call it by its address, or localhost" in answer
        assert b"plugin_id" not in answer


@pytest.mark.parametrize("sent", [b"", b"GET /api/health HTTP/1.1\r\nHost:"])
async def test_a_client_that_never_comes_to_an_end(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection has a deadline, whatever it is waiting for."""
    monkeypatch.setattr(plugin, "LIMITS", replace(plugin.LIMITS, head=0.05))
    async with pipeline(source() + COLLECT) as running:
        assert await answered(running, sent) == b""


async def test_too_many_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those past the limit take the place of those that have waited longest: a stranger cannot keep a probe out."""
    monkeypatch.setattr(plugin, "LIMITS", replace(plugin.LIMITS, connections=2))
    async with pipeline(source() + COLLECT) as running:
        held = [await asyncio.open_connection("127.0.0.1", port(running)) for _ in range(2)]
        assert b" 200 " in await answered(
            running, b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        async with asyncio.timeout(DEADLINE):
            assert await held[0][0].read() == b""
        for _, writer in held:
            writer.close()


async def test_a_port_that_is_taken() -> None:
    """The worker does not start, and says why."""
    async with pipeline(source() + COLLECT) as running:
        taken = port(running)
        with pytest.raises(ExceptionGroup) as failure:
            async with pipeline(f"<source>\n@type monitor_agent\nbind 127.0.0.1\nport {taken}\n</source>\n" + COLLECT):
                pass
        message = (
            f"<source> @type monitor_agent at test.conf:1:1: cannot listen at port {taken} of 127.0.0.1: "
            "address already in use: stop what uses it, or give another"
        )
        assert message in str(failure.value.exceptions[0].exceptions[0])


async def test_the_port_is_free_again() -> None:
    """At the end every connection is closed, and the next graph takes the same port, as at a reload."""
    async with pipeline(source() + COLLECT) as running:
        taken = port(running)
        reader, writer = await asyncio.open_connection("127.0.0.1", taken)
    async with asyncio.timeout(DEADLINE):
        assert await reader.read() == b""
    writer.close()
    text = f"<source>\n@type monitor_agent\nbind 127.0.0.1\nport {taken}\n</source>\n"
    async with pipeline(text + COLLECT):
        assert (await ask(taken, "/api/health")).status == 200


async def test_process() -> None:
    """/api/config tells about the process; what nobody has configured is null, and nothing in LTSV."""
    async with pipeline("<system>\nroot_dir /nowhere\n</system>\n" + source() + COLLECT) as running:
        assert (await ask(running, "/api/config.json")).document == {
            "pid": os.getpid(),
            "ppid": os.getppid(),
            "version": __version__,
            "config_path": None,
            "pid_file": None,
            "plugin_dirs": [],
            "log_path": None,
            "root_dir": "/nowhere",
        }
        line = (await ask(running, "/api/config")).text
        assert line == (
            f"pid:{os.getpid()}\tppid:{os.getppid()}\tversion:{__version__}\tconfig_path:\tpid_file:\tplugin_dirs:\t"
            "log_path:\troot_dir:/nowhere\n"
        )


async def test_workers(tmp_path: Path) -> None:
    """Each listens at the port behind the one before, for itself, and again when the configuration was read anew."""
    config, first = tmp_path / "two.conf", adjacent_ports(2)
    conf = f"<source>\n@type monitor_agent\n@id {{}}\nbind 127.0.0.1\nport {first}\n</source>\n"
    conf += "<match **>\n@type null\n</match>\n"
    config.write_text("<system>\nworkers 2\n</system>\n" + conf.format("before"))
    log = tmp_path / "log"
    program = Logpipe(config, log, arguments=["-p", str(tmp_path)])
    with program.start():
        await wait_for(lambda: program.said.count("listening at") == 2, "both workers to listen")
        found = [(await ask(first + worker, "/api/config.json")).document for worker in (0, 1)]
        assert found[0]["pid"] != found[1]["pid"]
        assert {each["ppid"] for each in found} == {program.pid}
        assert [(each["config_path"], each["plugin_dirs"]) for each in found] == [(str(config), [str(tmp_path)])] * 2
        config.write_text("<system>\nworkers 2\n</system>\n" + conf.format("after"))
        program.signal(signal.SIGHUP)
        await wait_for(lambda: program.said.count("listening at") == 4, "both workers to listen again")
        again = [(await ask(first + worker, "/api/plugins.json")).document for worker in (0, 1)]
        assert [each["plugins"][0]["plugin_id"] for each in again] == ["after", "after"]
        assert program.stop() == 0


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ("port 70000", "port must be from 0 to 65535"),
        ("port -1", "port must be from 0 to 65535"),
        ("emit_interval 0", "emit_interval must be more than 0"),
        ("<transport udp>\n</transport>", "<transport udp> is not spoken here: write tcp or tls"),
        ("<transport tls>\n</transport>", "tls needs a certificate: write cert_path and private_key_path"),
    ],
)
async def test_settings_that_cannot_work(conf: str, message: str) -> None:
    """Mistakes are found at start."""
    with pytest.raises(ConfigError, match=message):
        async with drive(MonitorAgent, conf):
            pass


async def test_a_worker_past_the_last_port() -> None:
    """There is no port 65536."""
    text = "<source>\n@type monitor_agent\nbind 127.0.0.1\nport 65535\n</source>\n" + COLLECT
    with pytest.raises(ConfigError, match="port 65535 leaves none for worker 1"):
        async with pipeline("<system>\nworkers 2\n</system>\n" + text, worker_id=1):
            pass


async def test_plain_transport_is_what_there_is() -> None:
    """<transport tcp> changes nothing."""
    async with pipeline(source("<transport tcp>\n</transport>") + COLLECT) as running:
        assert (await ask(running, "/api/health")).status == 200
