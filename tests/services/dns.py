"""A DNS server for tests, over UDP and TCP at one port."""

from __future__ import annotations

import asyncio
import ipaddress
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Self

from logpipe.net.dns import messages

MOST_UDP = 512


def record(code: int, data: bytes) -> bytes:
    """Return a record of the name that was asked for."""
    return b"\xc0\x0c" + struct.pack(">HHIH", code, 1, 60, len(data)) + data


def service(priority: int, weight: int, port: int, target: str) -> bytes:
    """Return an SRV record."""
    name = b"".join(bytes((len(label),)) + label.encode() for label in target.split(".")) + b"\0"
    return record(messages.CODES["SRV"], struct.pack(">HHH", priority, weight, port) + name)


def address(text: str) -> bytes:
    """Return an A or AAAA record."""
    packed = ipaddress.ip_address(text).packed
    return record(messages.CODES["A" if len(packed) == 4 else "AAAA"], packed)


class DnsServer(asyncio.DatagramProtocol):
    """Answers a question with what a function returns; with nothing where that is None."""

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self.answer = answer
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    @staticmethod
    def reply(asked: bytes, records: Sequence[bytes] = (), *, code: int = 0) -> bytes:
        """Return an answer."""
        head = asked[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(records), 0, 0)
        return head + asked[12:] + b"".join(records)

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[Self]:
        """Answer for as long as the block lasts."""
        loop = asyncio.get_running_loop()
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", self.port))
            try:
                yield self
            finally:
                self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer, and cut what is too long."""
        found = self.answer(data)
        if found is not None and self._transport is not None:
            if len(found) > MOST_UDP:
                found = data[:2] + struct.pack(">HHHHH", 0x8380, 1, 0, 0, 0) + data[12:]
            self._transport.sendto(found, addr)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (size,) = struct.unpack(">H", await reader.readexactly(2))
        found = self.answer(await reader.readexactly(size))
        if found is not None:
            writer.write(struct.pack(">H", len(found)) + found)
        writer.close()
