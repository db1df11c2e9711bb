"""A server that keeps what it is sent, byte for byte, and answers what a test says."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import sys
from collections.abc import AsyncIterator, Callable
from importlib import import_module
from typing import Any, Self

import msgpack

zstd: Any = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
Answer = Callable[[str], "bytes | None"]


def ack(chunk: str) -> bytes:
    """Return the acknowledgement of a chunk."""
    packed: bytes = msgpack.packb({"ack": chunk})
    return packed


class ForwardServer:
    """A server; the next connections meet `greeting` and `answers`, the last of which stays."""

    def __init__(self, *answers: Answer | None, greeting: bytes = b"") -> None:
        self.answers = list(answers) or [None]
        self.greeting = greeting
        self.messages: list[Any] = []
        self.connections = 0
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    @contextlib.asynccontextmanager
    async def standing(self) -> AsyncIterator[Self]:
        """Serve for as long as the block lasts."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            async with server:
                yield self
        finally:
            for each in self._writers:
                each.transport.abort()
            await asyncio.sleep(0)

    def server(self, more: str = "") -> str:
        """Return a `<server>` that leads to it."""
        return f"<server>\nhost 127.0.0.1\nport {self.port}\n{more}\n</server>\n"

    @property
    def events(self) -> list[tuple[str, Any, Any]]:
        """Tag, time and record of each event."""
        return [(tag, time, record) for tag, entries, *_ in self.messages for time, record in unpacked(entries)]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.connections += 1
        writer.write(self.greeting)
        unpacker = msgpack.Unpacker(raw=True, max_buffer_size=10**9)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                unpacker.feed(data)
                for message in unpacker:
                    self._take(message, writer)
        writer.close()

    def _take(self, message: list[Any], writer: asyncio.StreamWriter) -> None:
        option = {key.decode(): value for key, value in message[2].items()} if len(message) > 2 else {}
        body = message[1]
        if option.get("compressed") == b"gzip":
            body = gzip.decompress(body)
        if option.get("compressed") == b"zstd":
            body = zstd.decompress(body)
        self.messages.append((message[0].decode(errors="surrogateescape"), body, option))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        said = None if answer is None else answer(option.get("chunk", b"").decode())
        if said is not None:
            writer.write(said)


def unpacked(entries: bytes) -> list[tuple[Any, Any]]:
    """Return times and records of packed events."""
    unpacker = msgpack.Unpacker(
        ext_hook=lambda _code, data: int.from_bytes(data[:4]) + int.from_bytes(data[4:]) / 1e9,
        unicode_errors="surrogatepass",
        strict_map_key=False,
    )
    unpacker.feed(entries)
    return [(time, record) for time, record in unpacker]
