"""0.12's outputs `tcp` and `unix`."""

from __future__ import annotations

from pathlib import Path

import pytest

from logpipe import ConfigError
from logpipe.builtin.in_forward import Forward
from logpipe.builtin.in_unix import Unix
from logpipe.builtin.out_stream import TcpOutput, UnixOutput
from logpipe.testing import Mood, check_output_against_peer, check_plugin, drive, wait_for
from tests.builtin.out_forward.peers import BUFFER, peer
from tests.services.forward_server import ForwardServer

TIME = 1_466_000_000_900_000_000


def to(port: int, more: str = "") -> str:
    return f"host 127.0.0.1\nport {port}\n{more}\n{BUFFER.format('')}"


async def test_contract() -> None:
    await check_plugin(TcpOutput, "host a")
    await check_plugin(UnixOutput, "path /run/x")


async def test_bytes() -> None:
    """A message of tag and packed events for each chunk, whole seconds, no options, a connection each."""
    async with ForwardServer(None).standing() as server, drive(TcpOutput, to(server.port)) as running:
        await running.feed("a.b", {"n": 1}, {"n": 2}, times=[TIME, TIME])
        await running.flush()
        await running.feed("c", {"n": 3}, times=[TIME])
        await running.flush()
        assert server.events == [
            ("a.b", 1_466_000_000, {"n": 1}),
            ("a.b", 1_466_000_000, {"n": 2}),
            ("c", 1_466_000_000, {"n": 3}),
        ]
        assert {len(message[2]) for message in server.messages} == {0}
        assert server.connections == 2


@pytest.mark.parametrize("mood", [Mood.DOWN, Mood.RESETTING, Mood.GARBLING])
async def test_moods(mood: Mood) -> None:
    """What the peer has not read comes again; no mood in which it reads and throws away, as there is no answer."""
    async with peer() as other:
        conf = f"host 127.0.0.1\nport {other.port}\nsend_timeout 1\n"
        buffer = BUFFER.format("chunk_limit_size 256k\ntotal_limit_size 1m")
        await check_output_against_peer(TcpOutput, conf + buffer, other, mood, most_bytes=2 * 1024 * 1024)


async def test_a_peer_that_asks_who_we_are() -> None:
    """Has read nothing, and will not: it is said what to write."""
    security = "<security>\nself_hostname server\nshared_key secret\n</security>"
    async with drive(Forward, f"bind 127.0.0.1\nport 0\n{security}") as other:
        port = other.plugin(Forward)._endpoint.names()[0][1]
        async with drive(TcpOutput, to(port)) as running:
            await running.feed("app", {"n": 1})
            running.graph.flush()
            await wait_for(lambda: any("the peer asks who we are" in text for text in running.log.texts("warning")))


async def test_a_peer_of_another_protocol() -> None:
    async with (
        ForwardServer(None, greeting=b"220 mail\r\n").standing() as server,
        drive(TcpOutput, to(server.port)) as running,
    ):
        await running.feed("app", {"n": 1})
        running.graph.flush()
        await wait_for(lambda: any("speaks another protocol" in text for text in running.log.texts("warning")))


async def test_unix(tmp_path: Path) -> None:
    """Over a socket of this machine; a peer that comes later gets what was waiting."""
    path = tmp_path / "sock"
    async with drive(UnixOutput, f"path {path}\n{BUFFER.format('')}") as running:
        await running.feed("app", {"n": 1}, times=[TIME])
        running.graph.flush()
        await wait_for(lambda: any("no connection to" in text for text in running.log.texts("warning")))
        async with drive(Unix, f"path {path}") as other:
            await wait_for(lambda: other.events("app") == [(1_466_000_000_000_000_000, {"n": 1})])


async def test_settings() -> None:
    for cls, conf, reason in (
        (TcpOutput, "host a\nsend_timeout 0", "send_timeout must be more than 0"),
        (TcpOutput, "", '"host" is required'),
        (UnixOutput, "", '"path" is required'),
    ):
        with pytest.raises(ConfigError, match=reason):
            async with drive(cls, conf):
                pass
