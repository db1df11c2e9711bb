"""The DNS client: what is asked, what is believed, and what strangers may answer."""

from __future__ import annotations

import random
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from logpipe.net import DnsError, Resolver, Srv
from logpipe.net.dns import messages, resolver
from tests.services.dns import DnsServer, address, record, service

NAME = "_forward._tcp.example.com"


@asynccontextmanager
async def standing(answer: Callable[[bytes], bytes | None], **more: object) -> AsyncIterator[Resolver]:
    """A resolver that asks a server that answers so."""
    async with DnsServer(answer).standing() as server:
        yield Resolver([("127.0.0.1", server.port)], **more)  # type: ignore[arg-type]  # seconds


async def test_services_and_addresses() -> None:
    """The best priority first; aliases on the way are no answers."""
    alias = record(messages.CODES["SRV"] + 1000, b"whatever")

    def answer(asked: bytes) -> bytes:
        found = {
            messages.CODES["SRV"]: [alias, service(20, 1, 2, "b.example.com"), service(10, 0, 24224, "a.example.com")],
            messages.CODES["AAAA"]: [address("::1")],
        }
        return DnsServer.reply(asked, found.get(int.from_bytes(asked[-4:-2], "big"), []))

    async with standing(answer) as dns:
        assert await dns.services(NAME) == [Srv(10, 0, 24224, "a.example.com"), Srv(20, 1, 2, "b.example.com")]
        assert await dns.addresses("a.example.com") == ["::1"]


async def test_no_such_name() -> None:
    """That is an answer, and no failure."""
    async with standing(lambda asked: DnsServer.reply(asked, code=3)) as dns:
        assert await dns.services(NAME) == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda asked: DnsServer.reply(asked, code=2), "127.0.0.1: the server failed"),
        (lambda _: None, "127.0.0.1 does not answer"),
        (lambda asked: DnsServer.reply(bytes(2) + asked[2:-4] + b"\0\1\0\1"), "127.0.0.1 does not answer"),
    ],
)
async def test_no_answer(answer: Callable[[bytes], bytes | None], said: str) -> None:
    """What is the answer to something else is none."""
    async with standing(answer, seconds=0.05) as dns:
        with pytest.raises(DnsError, match=f"SRV records of {NAME}: {said}$"):
            await dns.services(NAME)


async def test_a_long_answer() -> None:
    """What is cut is asked for again over TCP."""
    many = [service(1, 1, port, "a.example.com") for port in range(200)]
    async with standing(lambda asked: DnsServer.reply(asked, many)) as dns:
        assert len(await dns.services(NAME)) == 200


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc0\x0c",
        b"\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x00\xff\xff",
        b"\xc0\xff\x00\x21\x00\x01\x00\x00\x00\x00\x00\x00",
        b"\x3f" + b"a" * 62,
    ],
)
def test_strangers(data: bytes) -> None:
    """Names in circles and ends in the middle are errors."""
    asked = messages.question(7, NAME, "SRV")
    head = asked[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + asked[12:]
    with pytest.raises(messages.MessageError):
        messages.answer(head + data, asked)


def test_any_bytes() -> None:
    """Whatever comes is read to an end, and is an answer or none."""
    drawn = random.Random(7)
    asked = messages.question(7, NAME, "SRV")
    good = DnsServer.reply(asked, [service(1, 2, 3, "a.example.com"), service(1, 2, 3, "b.example.com")])
    answers = 0
    for _ in range(2000):
        data = bytearray(good)
        for _ in range(3):
            data[drawn.randrange(len(data))] = drawn.randrange(256)
        try:
            messages.answer(bytes(data), asked)
        except messages.MessageError:
            continue
        answers += 1
    assert 0 < answers < 2000


@pytest.mark.parametrize("name", ["", "a..b", "a" * 64, ".".join(["a" * 60] * 5)])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(messages.MessageError, match="is no name"):
        messages.question(1, name, "A")


def test_resolv_conf(tmp_path: Path) -> None:
    """Servers and domains, whatever else is in it."""
    path = tmp_path / "resolv.conf"
    assert resolver._settings(path) == ((("127.0.0.1", 53),), ())
    path.write_text(
        "# a\nnameserver 192.0.2.1\nnameserver\nnameserver ::1 # b\nsearch a.example b.example.\noptions x\n"
    )
    assert resolver._settings(path) == ((("192.0.2.1", 53), ("::1", 53)), ("a.example", "b.example"))


async def test_domains_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the name itself, unless that ends in a dot."""
    asked: list[bytes] = []

    def answer(question: bytes) -> bytes:
        asked.append(question)
        found = [address("192.0.2.9")] if b"\x06search" in question else []
        return DnsServer.reply(question, found, code=0 if found else 3)

    async with DnsServer(answer).standing() as server:
        monkeypatch.setattr(resolver, "_settings", lambda: ((("127.0.0.1", server.port),), ("search",)))
        assert await Resolver().addresses("short") == ["192.0.2.9"]
        assert await Resolver().addresses("short.") == []
    assert len(asked) == 4
