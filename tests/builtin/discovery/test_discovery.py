"""What `<service_discovery>` finds, and what becomes of it when that changes or fails."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from logpipe import ConfigError, Options
from logpipe.builtin.discovery.file import FileDiscovery
from logpipe.builtin.discovery.srv import SrvDiscovery
from logpipe.builtin.discovery.static import StaticDiscovery
from logpipe.discovery import Service, ServiceDiscovery
from logpipe.net.dns import messages
from logpipe.testing import ManualClock, check_plugin, drive, wait_for
from tests.builtin.discovery.finding import Finding, section
from tests.services.dns import DnsServer, address, service

A, B, C = (Service(name, 24224) for name in "abc")


class Told(ServiceDiscovery[Options], type="told"):
    """Finds what a test says, when it says so."""

    answers: list[Any]

    async def find(self) -> Sequence[Service]:
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return list(found)

    async def changed(self) -> None:
        await self.host.clock.sleep(10)


async def test_static_and_several_sections() -> None:
    """All together, in their order; what two sections name is one."""
    await check_plugin(StaticDiscovery)
    body = "<service>\nhost a\n</service>\n<service>\nhost b\nport 1\nname n\nweight 2\nstandby true\n"
    body += "username u\npassword p\nshared_key k\n</service>"
    async with drive(Finding, section("static", body) + section("static", "<service>\nhost a\n</service>")) as running:
        full = Service("b", 1, "n", 2, True, "u", "p", "k")
        assert running.plugin(Finding).found == [[A, full]]
        assert not {"'p'", "'k'"} & set(repr(full).replace(",", " ").replace("=", " ").split())


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("static", "<service>\n</service>", '"host" is required'),
        ("static", "<service>\nhost a\nport 70000\n</service>", "port 70000: 0 to 65535 are possible"),
        ("static", "<service>\nhost a\nweight -1\n</service>", "weight -1: 0 to 100000 are possible"),
        ("file", "conf_encoding nonsense", "'nonsense' is no encoding"),
        ("srv", "service a\nhostname b\ninterval 0", "interval must be 1 at least"),
        ("srv", "service a\nhostname b\ndns_server_host ns:x", "is no server: write HOST or HOST:PORT"),
        ("nothing", "", 'unknown service_discovery plugin "nothing"'),
    ],
)
async def test_mistakes(kind: str, body: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        async with drive(Finding, section(kind, body)):
            pass


async def test_what_changes_and_what_fails() -> None:
    """After a failure what was found last stays, and is looked for again soon."""
    clock = ManualClock()
    Told.answers = [OSError("no network"), [A], [A, B], ValueError("nonsense"), [C]]
    async with drive(Finding, section("told"), clock=clock, plugins=(Told,)) as running:
        found = running.plugin(Finding).found
        assert found == [[]]
        assert any("service discovery: no network" in text for text in running.log.texts("error"))
        await clock.advance(1)
        assert found == [[], [A]]
        await clock.advance(10)
        assert found == [[], [A], [A, B]]
        await clock.advance(10)
        assert len(found) == 3
        assert any("nonsense; those that were found last are used" in text for text in running.log.texts("error"))
        await clock.advance(1)
        assert found[3:] == [[C]]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sd.yaml", "- {host: a, port: 24224}\n- host: b\n  port: 1\n  weight: 2\n  name: n\n  standby: true\n"),
        ("sd", "- {host: a, port: 24224}\n- {host: b, port: '1', weight: 2, name: n, standby: true}\n"),
        ("sd.json", '[{"host":"a","port":24224},{"host":"b","port":1,"weight":2,"name":"n","standby":true}]'),
    ],
)
async def test_file(tmp_path: Path, name: str, text: str) -> None:
    """YAML and JSON; read again when it has changed, and not while it is wrong."""
    await check_plugin(FileDiscovery)
    path = tmp_path / name
    path.write_text(text)
    clock = ManualClock()
    async with drive(Finding, section("file", f"path {path}"), clock=clock) as running:
        found = running.plugin(Finding).found
        assert found == [[A, Service("b", 1, "n", 2, standby=True)]]
        for content, seen in (("nonsense", 1), ('[{"host": "c", "port": 24224}]', 2)):
            other = tmp_path / "other"
            other.write_text(content)
            other.replace(path)
            await clock.advance(3)
            assert len(found) == seen
        assert found[1] == [C]
        assert running.log.texts("error")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no such file or directory"),
        ("a: b", "is no list: write `- host: HOST`"),
        ("- a", "service 1: it is no map"),
        ("- {host: a, port: 1}\n- {port: 1}", "service 2: host is missing"),
        ("- {host: a}", "service 1: port is missing"),
        ("- {host: a, port: 70000}", "port is no number from 0 to 65535"),
        ("- {host: a, port: 1, weight: x}", "weight is no number"),
        ("- {host: [a], port: 1}", "host is no text"),
        ("- {host: a, port: 1, standby: 3}", "standby is neither true nor false"),
        ("- {", "while parsing a flow"),
        ("[" * 1200, ""),
        ("\udcff", "can't decode"),
    ],
)
async def test_a_file_that_is_wrong_at_the_start(tmp_path: Path, text: str | None, said: str) -> None:
    """It is named with the place, and nothing starts, as in fluentd."""
    path = tmp_path / "sd.yaml"
    if text is not None:
        path.write_bytes(os.fsencode(text))
    with pytest.raises(ExceptionGroup) as failure:
        async with drive(Finding, section("file", f"path {path}")):
            pass
    problem: BaseException = failure.value
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    assert str(path) in str(problem)
    assert said in str(problem)


async def test_srv() -> None:
    """Records and addresses, again and again; while nobody answers, the last ones stay."""
    await check_plugin(SrvDiscovery, "service forward\nhostname example.com")
    records = [service(20, 0, 2, "b.example.com"), service(10, 5, 1, "a.example.com")]
    names: list[bytes] = []

    def answer(asked: bytes) -> bytes:
        names.append(asked[12:-4])
        if int.from_bytes(asked[-4:-2], "big") == messages.CODES["SRV"]:
            return DnsServer.reply(asked, records, code=0 if records else 3)
        return DnsServer.reply(asked, [address("192.0.2.1" if asked[13:14] == b"a" else "192.0.2.2")])

    first = Service("192.0.2.1", 1, "a.example.com", 5, False, "u", "p", "k")
    clock = ManualClock()
    async with DnsServer(answer).standing() as server:
        body = f"service forward\nhostname example.com\ndns_server_host 127.0.0.1:{server.port}\ninterval 30\n"
        more = "username u\npassword p\nshared_key k"
        async with drive(Finding, section("srv", body + more), clock=clock) as running:
            found = running.plugin(Finding).found
            assert found[0][0] == first
            assert [each.host for each in found[0]] == ["192.0.2.1", "192.0.2.2"]
            assert [each.weight for each in found[0]] == [5, 1]
            assert b"\x08_forward\x04_tcp\x07example\x03com\0" in names
            del records[0]
            await clock.advance(30)
            await wait_for(lambda: len(found) == 2)
            assert found[1] == [first]
            records.clear()
            await clock.advance(30)
            await wait_for(lambda: running.log.texts("error"))
            assert len(found) == 2
        async with drive(Finding, section("srv", f"{body}dns_lookup false\nproto udp")) as running:
            records.append(service(1, 1, 9, "c.example.com"))
            await wait_for(lambda: len(running.plugin(Finding).found) == 2)
            assert running.plugin(Finding).found[1] == [Service("c.example.com", 9, "c.example.com", 1)]
