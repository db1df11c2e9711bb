"""The names of those who send."""

from __future__ import annotations

import asyncio
import threading

import pytest

from logpipe.builtin import peers
from logpipe.builtin.in_tcp import Tcp
from logpipe.builtin.peers import PeerNames
from logpipe.testing import FakeHost, drive
from tests.builtin.message_inputs.sending import records, send


async def test_names_are_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And kept for a while."""
    asked: list[str] = []
    monkeypatch.setattr(peers, "name_of", lambda address: asked.append(address) or f"name of {address}")
    names = PeerNames(FakeHost())
    assert await names.of_all(["10.0.0.1", "10.0.0.2", "10.0.0.1"]) == {
        "10.0.0.1": "name of 10.0.0.1",
        "10.0.0.2": "name of 10.0.0.2",
    }
    assert await names.of("10.0.0.2") == "name of 10.0.0.2"
    assert sorted(asked) == ["10.0.0.1", "10.0.0.2"]


async def test_slow_names_hold_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses stand in their place, two threads at most wait, and not more than a few wait for them."""
    gate = threading.Event()
    at_once: list[int] = []
    inside = 0

    def slow(address: str) -> str:
        nonlocal inside
        inside += 1
        at_once.append(inside)
        gate.wait()
        inside -= 1
        return f"name of {address}"

    monkeypatch.setattr(peers, "name_of", slow)
    monkeypatch.setattr(peers, "PATIENCE", 0.01)
    host = FakeHost()
    names = PeerNames(host)
    try:
        addresses = [f"10.0.0.{number}" for number in range(200)]
        assert await names.of_all(addresses) == dict(zip(addresses, addresses, strict=True))
        assert len(names._asked) == peers.MOST_ASKED
        monkeypatch.setattr(peers, "PATIENCE", 1e9)  # from now on nobody waits
        assert await names.of("10.0.1.1") == "10.0.1.1"
    finally:
        gate.set()
    while names._asked:
        await asyncio.sleep(0)
    assert max(at_once) <= peers.AT_ONCE
    assert len(names._known) == peers.MOST_ASKED


async def test_name_stands_in_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """By source_hostname_key, beside the address."""
    monkeypatch.setattr(peers, "name_of", lambda address: f"name of {address}")
    conf = "tag t\nbind 127.0.0.1\nport 0\nsource_hostname_key h\nsource_address_key a\nformat none"
    async with drive(Tcp, conf) as running:
        await send(running, b"x\n")
        assert await records(running, 1) == [{"message": "x", "a": "127.0.0.1", "h": "name of 127.0.0.1"}]
