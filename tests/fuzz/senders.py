"""Who sends to the inputs that listen, beside HTTP: what is sent is made with the case, and sent in its first round."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final

from logpipe import Event
from logpipe.builtin.forward_protocol import Option, forward_message, pack_event, packed_message, single_message
from logpipe.builtin.in_forward import Forward
from logpipe.builtin.message_inputs.plugin import MessageInput
from logpipe.builtin.message_inputs.receiving import DatagramReceiver
from logpipe.testing import Pipeline, wait_for
from tests.fuzz import hostile

SECONDS: Final = 60
MESSAGES: Final = 8
_NO_EVENT: Final = b"\x92\x01\xa4none"


class Senders:
    """What one case sends.

    Args:
        random: the case's.
        mark: returns the number of the next event.
        parsers: of each message input that there is, the type of the parser.
        has_forward: whether there is a forward input.
    """

    def __init__(self, random: Random, mark: Callable[[], int], parsers: dict[str, str], *, has_forward: bool) -> None:
        self._random = random
        self._mark = mark
        self.lines = {name: list(self._lines(name, parser)) for name, parser in sorted(parsers.items())}
        self.events: list[Event] = []
        self.frames = [self._frame() for _ in range(MESSAGES)] if has_forward else []

    def _lines(self, name: str, parser: str) -> Iterator[bytes]:
        for number in range(MESSAGES):
            line = hostile.line(self._random, self._mark(), parser, is_tame=number < 2)
            if parser.startswith("multiline"):
                line = line.partition(b"\n")[0]  # messages end there
            has_priority = name == "syslog" and not line.startswith(b"<") and self._random.random() < 0.9
            yield b"<%d>" % self._random.choice((0, 6, 13, 191, 192, 999)) + line if has_priority else line

    def _frame(self) -> bytes:
        """Return a message of the forward protocol, one or several events."""
        tag = self._random.choice([tag for tag in hostile.TAGS if tag.isascii()])
        packed = [self._event() for _ in range(self._random.randrange(1, 4))]
        option = Option(chunk=self._random.choice(("c", None)), compressed=self._random.choice(("gzip", "zstd", None)))
        kind = self._random.randrange(3)
        if kind == 0:
            event = self.events[-1]
            del self.events[-len(packed) : -1]
            return single_message(tag, event.time, event.record, option._replace(compressed=None))
        if self._random.random() < 0.3:
            packed.insert(0, _NO_EVENT)
        if kind == 1:
            return forward_message(tag, packed, option._replace(compressed=None))
        return packed_message(tag, packed, option)

    def _event(self) -> bytes:
        number = self._mark()
        event = Event(self._random.choice((hostile.NOW, *hostile.TIMES)), hostile.record(self._random, number))
        try:
            packed = pack_event(*event)
        except (ValueError, TypeError, OverflowError):
            event = Event(hostile.NOW, hostile.tame(number))
            packed = pack_event(*event)
        self.events.append(event)
        return packed

    async def send(self, running: Pipeline) -> None:
        """Send all, and wait until it is read."""
        for stage in running.graph.stages.inputs:
            plugin: Any = stage.plugin
            if isinstance(plugin, Forward):
                await _over_tcp(plugin._endpoint.names()[0][1], b"".join(self.frames), self._random)
            elif isinstance(plugin, MessageInput):
                await self._messages(plugin, self.lines[stage.host.type_name])

    async def _messages(self, plugin: MessageInput[Any], lines: list[bytes]) -> None:
        port = plugin.endpoint.names()[0][1]
        receiver = plugin._receiver
        if not isinstance(receiver, DatagramReceiver):
            await _over_tcp(port, _framed(plugin.options, lines), self._random)
            return
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for line in lines:
                sender.sendto(line, ("127.0.0.1", port))
        sockets = receiver._datagrams._sockets
        await wait_for(
            lambda: receiver._is_idle and not receiver._waiting and not any(map(_has_unread, sockets)),
            "the datagrams to be read",
            seconds=SECONDS,
        )


def _has_unread(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


def _framed(options: Any, lines: list[bytes]) -> bytes:
    if getattr(options, "frame_type", "") == "octet_count":
        return b"".join(b"%d %s" % (len(line), line) for line in lines)
    return b"".join(line + options.delimiter.encode() for line in lines)


async def _over_tcp(port: int, data: bytes, random: Random) -> None:
    """Send over one connection, in pieces, and wait until its other end is closed: all of it is taken."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while data:
            size = random.choice((1, 100, len(data)))
            writer.write(data[:size])
            data = data[size:]
            await writer.drain()
        writer.write_eof()
        async with asyncio.timeout(SECONDS):
            while await reader.read(65536):
                pass
    finally:
        writer.close()
