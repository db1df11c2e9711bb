"""Streams: TCP, IPv6, Unix; limits; strangers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest

from logpipe.net import Limits
from logpipe.testing import DEADLINE, Pipeline, check_listener, check_plugin, drive, pipeline, wait_for
from logpipe.testing.strangers import connection, until_closed
from tests.net.stages import Lines

COLLECT = "<match **>\n@type test\n</match>\n"


def port(running: Pipeline) -> int:
    """Return where it listens."""
    number: int = running.plugin(Lines).port
    return number


async def echo(number: int, line: bytes = b"hello\n", host: str = "127.0.0.1") -> None:
    """Send a line and get it back."""
    async with connection(number, host) as (reader, writer):
        writer.write(line)
        async with asyncio.timeout(DEADLINE):
            assert await reader.readexactly(len(line)) == line


async def test_lines() -> None:
    """What comes over a connection, and from whom."""
    await check_plugin(Lines)
    async with drive(Lines) as running:
        await echo(port(running), b"one\ntwo\n")
        assert running.records() == [{"text": "one", "peer": "127.0.0.1"}, {"text": "two", "peer": "127.0.0.1"}]


@pytest.mark.parametrize("bind", ["::1", "'[::1]'", "localhost"])
async def test_ipv6(bind: str) -> None:
    """In either spelling, and by a name, which stands for all its addresses."""
    hosts = {found[4][0] for found in socket.getaddrinfo(bind.strip("'[]"), 0, type=socket.SOCK_STREAM)}
    async with drive(Lines, f"bind {bind}") as running:
        for host in hosts:
            await echo(port(running), host=str(host))


async def test_all_addresses() -> None:
    """:: takes IPv4 too, as in Ruby."""
    async with drive(Lines, "bind ::") as running:
        await echo(port(running), host="::1")
        await echo(port(running), host="127.0.0.1")


async def test_unix_socket(tmp_path: Path) -> None:
    """One that a process left behind is replaced; one that somebody listens at is not."""
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with drive(Lines, f"path {path}") as running:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        writer.close()
        assert running.records() == [{"text": "hello", "peer": ""}]
        with pytest.raises(ExceptionGroup) as failure:
            async with drive(Lines, f"path {path}"):
                pass
        said = f"cannot listen at the Unix socket {path}: address already in use: stop the program that listens there"
        assert said in str(failure.value.exceptions[0].exceptions[0])


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ("bind 203.0.113.1", "cannot assign requested address: give an address of this machine"),
        ("bind no.such.name.invalid", "give an address of this machine, or a name that stands for one"),
        ("path /nowhere/socket", "no such file or directory: make its folder"),
        ("path /dev/null", "file exists: something else has that name: give another path"),
        (f"path /tmp/{'x' * 200}", "AF_UNIX path too long"),
    ],
)
async def test_what_cannot_be_listened_at(conf: str, said: str) -> None:
    """It is said with the section, the address and a way out."""
    with pytest.raises(ExceptionGroup) as failure:
        async with drive(Lines, conf):
            pass
    text = str(failure.value.exceptions[0].exceptions[0])
    assert text.startswith("<source> @type lines_listener at test.conf:1:1: cannot listen at ")
    assert said in text


async def test_strangers() -> None:
    """Whatever they send, others are served."""
    async with drive(Lines) as running:
        await check_listener(port(running), lambda: echo(port(running)), crowd=40)
        assert running.log.texts("error") + running.log.texts("warning") == []


async def test_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those past the limit wait until another has gone; that is said once."""
    monkeypatch.setattr(Lines, "limits", Limits(connections=2))
    async with drive(Lines) as running:
        async with connection(port(running)), connection(port(running)), connection(port(running)) as (reader, writer):
            await wait_for(lambda: running.log.texts("warning"), "the warning")
            writer.write(b"third\n")
            assert running.plugin(Lines).listener.connections == 2
            assert running.records() == []
            waiting = asyncio.ensure_future(reader.readline())  # noqa: TID251
            async with connection(port(running)):
                pass
            assert not waiting.done()
            running.plugin(Lines).listener._open.copy().pop().abort()
            async with asyncio.timeout(DEADLINE):
                assert await waiting == b"third\n"
        assert running.log.texts("warning") == ["there are 2 connections, as many as there may be: others wait"]


async def test_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that sends nothing is let go."""
    monkeypatch.setattr(Lines, "limits", Limits(idle=0.05))
    async with drive(Lines) as running, connection(port(running)) as (reader, _):
        assert await until_closed(reader) == b""
        await wait_for(lambda: running.plugin(Lines).listener.connections == 0)
        assert any("has sent nothing for 0.05 seconds" in text for text in running.log.texts("debug"))


async def test_a_peer_that_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is let go, and what it sends is not read on meanwhile."""
    monkeypatch.setattr(Lines, "limits", Limits(idle=0.2))
    async with drive(Lines) as running:
        with socket.create_connection(("127.0.0.1", port(running))) as stranger:
            stranger.setblocking(False)
            await wait_for(lambda: running.plugin(Lines).listener.connections == 1)
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            loop = asyncio.get_running_loop()

            async def send() -> None:
                with contextlib.suppress(ConnectionError):
                    while True:
                        await loop.sock_sendall(stranger, b"x" * 99 + b"\n")

            sending = asyncio.create_task(send())  # noqa: TID251 - a test's own
            await wait_for(lambda: running.plugin(Lines).listener.connections == 0, "the stranger to be let go")
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        await echo(port(running))


async def test_nothing_is_open_at_the_end() -> None:
    """Connections are closed, and the port is free."""
    async with drive(Lines) as running:
        number = port(running)
        reader, writer = await asyncio.open_connection("127.0.0.1", number)
        await wait_for(lambda: running.plugin(Lines).listener.connections == 1)
    assert await until_closed(reader) == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", number)


async def test_two_free_ports() -> None:
    """Port 0 is one of its own for each."""
    text = "<source>\n@type lines_listener\n</source>\n" * 2 + COLLECT
    async with pipeline(text, Lines) as running:
        ports = {stage.plugin.port for stage in running.graph.stages.inputs}
        assert len(ports) == 2
