"""`rpc_endpoint`: each command does what its signal does, and not for every page of a browser."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from logpipe.config.diagnostic import Diagnostic
from logpipe.supervisor import Settings, check, rpc
from logpipe.testing import wait_for
from tests.cli.program import OWN
from tests.services.ports import adjacent_ports
from tests.services.waiting import wait_until
from tests.supervisor.in_process import in_this_process
from tests.supervisor.running import Running

QUIET = "<match **>\n@type null\nuser me\npassword s3cret\n</match>\n" + OWN


def system(port: int, more: str = "") -> str:
    return f"<system>\nrpc_endpoint 127.0.0.1:{port}\n{more}\n</system>\n"


async def asked(
    port: int, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
) -> tuple[int, dict[str, object]]:
    """Return the status and the body."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{port}/api/{path}", headers=headers) as response,
    ):
        return response.status, json.loads(await response.read())


@pytest.mark.usefixtures("own_signals")
async def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each path sends its signals, is answered as Fluentd answers it, and takes any method."""
    config, port = tmp_path / "conf", adjacent_ports(1)
    config.write_text(system(port) + QUIET)
    sent: list[signal.Signals] = []
    async with in_this_process(config, tmp_path / "log"):
        with monkeypatch.context() as patch:
            patch.setattr(rpc.os, "kill", lambda _pid, number: sent.append(number))
            for path, numbers in rpc.SIGNALS.items():
                sent.clear()
                assert await asked(port, path.removeprefix("/api/"), method="POST") == (200, {"ok": True})
                assert tuple(sent) == numbers
        assert (await asked(port, "plugins.flush"))[0] == 404
        assert (await asked(port, "config.getDump"))[0] == 404


@pytest.mark.parametrize("headers", [{"Origin": "http://evil"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil"}])
@pytest.mark.usefixtures("own_signals")
async def test_pages_of_others(tmp_path: Path, headers: Mapping[str, str]) -> None:
    """A form, an image, or a name that was made to stand for this machine, has no effect."""
    config, port, log = tmp_path / "conf", adjacent_ports(1), tmp_path / "log"
    config.write_text(system(port) + QUIET)
    async with in_this_process(config, log):
        assert (await asked(port, "config.dump", headers))[0] in {403, 421}
        assert (await asked(port, "config.dump", {"Sec-Fetch-Site": "none"}))[0] == 200
    assert log.read_text().count("configuration: <system>") == 1


@pytest.mark.usefixtures("own_signals")
async def test_the_configuration_in_use(tmp_path: Path) -> None:
    """Is that which was read last, not what is in the file by now; secrets are masked. A reload may move the server."""
    config, port = tmp_path / "conf", adjacent_ports(2)
    config.write_text(system(port, "enable_get_dump true") + QUIET)
    async with in_this_process(config, tmp_path / "log") as worker:
        config.write_text(system(port + 1, "enable_get_dump true") + QUIET)
        status, body = await asked(port, "config.getDump")
        assert status == 200
        assert body["ok"] is True
        assert f"rpc_endpoint 127.0.0.1:{port}\n" in str(body["conf"])
        assert "s3cret" not in str(body["conf"])
        assert (await asked(port, "config.gracefulReload"))[1] == {"ok": True}
        await wait_for(lambda: "starting by the configuration as it was read" in (tmp_path / "log").read_text())
        assert f"rpc_endpoint 127.0.0.1:{port + 1}\n" in str((await asked(port + 1, "config.getDump"))[1]["conf"])
        await worker.reload()
        assert (await asked(port + 1, "config.getDump"))[0] == 200


def found(tmp_path: Path, text: str) -> list[Diagnostic]:
    config = tmp_path / "conf"
    config.write_text(text + QUIET)
    return check(Settings(config)).diagnostics


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("0.0.0.0:24444", "open-listener"),
        ("example.com:24444", "open-listener"),
        ("[::1]:24444", None),
        ("localhost:24444", None),
        ("24444", "invalid-parameter"),
        ("127.0.0.1:99999", "invalid-parameter"),
    ],
)
def test_the_address_is_checked(tmp_path: Path, endpoint: str, said: str | None) -> None:
    """One that others reach is warned of, and one that is none is refused."""
    diagnostics = [
        each for each in found(tmp_path, f"<system>\nrpc_endpoint {endpoint}\n</system>\n") if "rpc" in str(each)
    ]
    assert [each.code for each in diagnostics] == ([] if said is None else [said])
    assert all(each.position.line == 2 for each in diagnostics)


def test_a_source_at_the_same_address(tmp_path: Path) -> None:
    """Is an error before anything starts."""
    source = "<source>\n@type monitor_agent\nbind 127.0.0.1\nport 24444\n</source>\n"
    (said,) = [each for each in found(tmp_path, system(24444) + source) if each.severity == "error"]
    assert "is already used by <system> rpc_endpoint" in said.message


def test_several_workers(running: Running) -> None:
    """A command is for all of them: it goes to their supervisor."""
    port = adjacent_ports(1)
    running.configure(workers=2)
    text = running.config.read_text().replace("<system>", f"<system>\nrpc_endpoint 127.0.0.1:{port}")
    running.config.write_text(text)
    running.start()
    running.has_said("starting logpipe pid=", times=2)
    running.has_said("listening for commands")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/processes.flushBuffersAndKillWorkers") as response:
        assert json.load(response) == {"ok": True}
    assert running.end() == 0
    wait_until(lambda: running.said.count("flushing all buffers") == 2, seconds=60, what="both")
    assert running.said.count("logpipe stopped") == 2
