"""Asks name servers, over UDP, and over TCP where an answer is too long for that."""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from logpipe.errors import LogpipeError
from logpipe.net.dns.messages import NO_SUCH_NAME, Answer, Kind, MessageError, Srv, answer, question

PORT: Final = 53
ATTEMPT_SECONDS: Final = 3.0
ATTEMPTS: Final = 2
SETTINGS: Final = Path("/etc/resolv.conf")
MOST_SETTINGS: Final = 65_536
MOST_SERVERS: Final = 3
MOST_DOMAINS: Final = 6

Server = tuple[str, int]


class DnsError(LogpipeError):
    """No server has an answer."""


class Resolver:
    """Looks names up.

    Args:
        servers: hosts and ports of name servers, all addresses; none: those of /etc/resolv.conf, read at each look-up.
        seconds: for one question to one server.
    """

    def __init__(self, servers: Sequence[Server] = (), *, seconds: float = ATTEMPT_SECONDS) -> None:
        self._servers = tuple(servers)
        self._seconds = seconds

    async def services(self, name: str) -> list[Srv]:
        """Return the SRV records of a name, those of the best priority first; none where there is no such name.

        Raises:
            DnsError: no server answers, or none has an answer.
        """
        found = (await self._look_up(name, "SRV")).services
        return sorted((each for each in found if each.target), key=lambda each: each.priority)

    async def addresses(self, name: str) -> list[str]:
        """Return the addresses of a name, IPv4 first; none where there is no such name.

        Raises:
            DnsError: as `services`.
        """
        first = await self._look_up(name, "A")
        return first.addresses or (await self._look_up(name, "AAAA")).addresses

    async def _look_up(self, name: str, kind: Kind) -> Answer:
        servers, domains = (self._servers, ()) if self._servers else await asyncio.to_thread(_settings)
        names = [name] if name.endswith(".") else [name, *(f"{name}.{domain}" for domain in domains)]
        found = Answer(NO_SUCH_NAME, is_cut=False)
        for each in names:
            found = await self._ask(servers, each, kind)
            if found.addresses or found.services:
                return found
        return found

    async def _ask(self, servers: Sequence[Server], name: str, kind: Kind) -> Answer:
        problems: dict[str, None] = {}
        for host, port in tuple(servers) * ATTEMPTS:
            try:
                asked = question(secrets.randbelow(65_536), name, kind)
                async with asyncio.timeout(self._seconds):
                    found = await _over_udp(host, port, asked)
                    if found.is_cut:
                        found = await _over_tcp(host, port, asked)
            except TimeoutError:
                problems[f"{host} does not answer"] = None
            except (OSError, EOFError, MessageError) as problem:
                problems[f"{host}: {problem}"] = None
            else:
                if not found.problem:
                    return found
                problems[f"{host}: {found.problem}"] = None
        raise DnsError(f"{kind} records of {name}: {', '.join(problems)}")


async def _over_udp(host: str, port: int, asked: bytes) -> Answer:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(lambda: _Datagrams(asked), remote_addr=(host, port))
    try:
        transport.sendto(asked)
        return await protocol.found
    finally:
        transport.close()


class _Datagrams(asyncio.DatagramProtocol):
    """Waits for the answer to one question: the kernel lets through only what comes from that server."""

    def __init__(self, asked: bytes) -> None:
        self._asked = asked
        self.found: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Take an answer; what is none may be somebody else's try, and is not waited for less."""
        del addr
        with suppress(MessageError):
            found = answer(data, self._asked)
            if not self.found.done():
                self.found.set_result(found)

    def error_received(self, exc: Exception) -> None:
        """Take what the kernel says: nobody listens there."""
        if not self.found.done():
            self.found.set_exception(exc)


async def _over_tcp(host: str, port: int, asked: bytes) -> Answer:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(struct.pack(">H", len(asked)) + asked)
        (size,) = struct.unpack(">H", await reader.readexactly(2))
        return answer(await reader.readexactly(size), asked)
    finally:
        writer.close()


def _settings(path: Path = SETTINGS) -> tuple[tuple[Server, ...], tuple[str, ...]]:
    """Return the servers and the domains of resolv.conf; 127.0.0.1 where it names no server."""
    text = ""
    with suppress(OSError), path.open("rb") as file:
        text = file.read(MOST_SETTINGS).decode(errors="replace")
    servers: list[Server] = []
    domains: list[str] = []
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        if words[:1] == ["nameserver"]:
            servers += [(word, PORT) for word in words[1:2]]
        elif words[:1] in (["search"], ["domain"]):
            domains = [word.rstrip(".") for word in words[1:] if word.rstrip(".")]
    return tuple(servers[:MOST_SERVERS]) or (("127.0.0.1", PORT),), tuple(domains[:MOST_DOMAINS])
