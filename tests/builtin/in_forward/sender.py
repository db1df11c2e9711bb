"""A client of the forward protocol, which sends what it is told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgpack

from logpipe.builtin.forward_protocol import (
    ClientHandshake,
    Frame,
    FrameReader,
    Option,
    acknowledged,
    forward_message,
    pack_event,
    packed_message,
    single_message,
)
from logpipe.testing import DEADLINE, Pipeline

T = TypeVar("T")

NOW = 1_466_000_000_000_000_000
QUIET = "<label @FLUENT_LOG>\n<match **>\n@type null\n</match>\n</label>\n"


class Sender:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._cutter = FrameReader()
        self._frames: list[bytes] = []

    def send(self, *messages: bytes) -> None:
        self.writer.writelines(messages)

    async def frame(self) -> bytes:
        """Return the next frame that comes."""
        while not self._frames:
            async with asyncio.timeout(DEADLINE):
                data = await self.reader.read(65536)
            assert data, "the connection has ended"
            self._frames += [frame.data for frame in self._cutter.feed(data) if isinstance(frame, Frame)]
        return self._frames.pop(0)

    async def acknowledgement(self) -> Any:
        return acknowledged(await self.frame())

    async def shake(self, key: str = "secret", user: str = "", password: str = "") -> None:
        client = ClientHandshake("client", key, username=user, password=password)
        self.send(client.ping(await self.frame()))
        client.check(await self.frame())

    async def ended(self) -> bytes:
        """Return what comes until the other side ends the connection."""
        found = b""
        async with asyncio.timeout(DEADLINE):
            try:
                while data := await self.reader.read(65536):
                    found += data
            except ConnectionError:
                pass
        return found


@asynccontextmanager
async def connected(port: int | str, context: ssl.SSLContext | None = None) -> AsyncIterator[Sender]:
    """Connect until the block ends, to a port or to a Unix socket."""
    if isinstance(port, str):
        reader, writer = await asyncio.open_unix_connection(port)
    else:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        yield Sender(reader, writer)
    finally:
        writer.transport.abort()


def beside(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Run something while the test goes on."""
    return asyncio.ensure_future(work)  # noqa: TID251 - a test has no host


def port_of(running: Pipeline, kind: str = "tcp") -> int:
    """Return where the first input that listens does."""
    endpoints = running.graph.world.endpoints._all.values()
    return next(each.names()[0][1] for each in endpoints if each.address.kind == kind)


def single(record: dict[str, Any], tag: str = "a", **option: Any) -> bytes:
    return single_message(tag, NOW, record, Option(**option))


def several(*records: dict[str, Any], tag: str = "a", mode: str = "packed", **option: Any) -> bytes:
    events = [pack_event(NOW, record) for record in records]
    return (forward_message if mode == "forward" else packed_message)(tag, events, Option(**option))


def packed(value: Any) -> bytes:
    data: bytes = msgpack.packb(value)
    return data
