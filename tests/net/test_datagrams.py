"""Datagrams."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from logpipe.testing import check_plugin, drive
from tests.net.stages import Packets

UDP = "<transport udp>\nreceive_buffer_size 100k\n</transport>\n"


@pytest.mark.parametrize(("bind", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
async def test_datagrams(bind: str, family: socket.AddressFamily) -> None:
    """Each is one; what is too long is cut; an empty one is one too."""
    await check_plugin(Packets)
    async with drive(Packets, f"bind {bind}\n{UDP}") as running:
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            for data in (b"one", b"x" * 200, b"", b"last"):
                sender.sendto(data, (bind, running.plugin(Packets).port))
        await running.wait_for(lambda: len(running.records()) == 4)
        assert [record["text"] for record in running.records()] == ["one", "x" * 100, "", "last"]


async def test_a_pause() -> None:
    """The kernel keeps what comes meanwhile."""
    async with drive(Packets, UDP) as running:
        plugin = running.plugin(Packets)
        plugin.datagrams.pause()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"one", ("127.0.0.1", plugin.port))
        plugin.datagrams.resume()
        await running.wait_for(running.records)


async def test_unix_socket(tmp_path: Path) -> None:
    """One that a process left behind is replaced; one that somebody reads is not."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
        left.bind(path)
    async with drive(Packets, f"path {path}\n{UDP}") as running:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            for data in (b"one", b"x" * 200):
                sender.sendto(data, path)
        await running.wait_for(lambda: len(running.records()) == 2)
        assert [record["text"] for record in running.records()] == ["one", "x" * 100]
        assert running.plugin(Packets).datagrams.dropped() == 0
        with pytest.raises(ExceptionGroup, match="unhandled errors"):
            async with drive(Packets, f"path {path}\n{UDP}"):
                pass


async def test_what_the_kernel_drops() -> None:
    """It is counted for each socket."""
    async with drive(Packets, "<transport udp>\nreceive_buffer_size 5k\n</transport>\n") as running:
        plugin = running.plugin(Packets)
        assert plugin.datagrams.dropped() == 0
        plugin.datagrams.pause()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(100):
                sender.sendto(b"x" * 1000, ("127.0.0.1", plugin.port))
        dropped = plugin.datagrams.dropped()
        plugin.datagrams.resume()
        await running.wait_for(lambda: len(running.records()) == 100 - dropped)
        assert 0 < dropped < 100
