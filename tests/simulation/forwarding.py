"""A server of the forward protocol, written from its specification and not with the program's code."""

from __future__ import annotations

import asyncio
import io
import socket
from typing import Any, Final

import msgpack

from tests.simulation.outputs import Delivery, Peer

PORT: Final = 24224


class ForwardServer:
    """Gives what it is sent to a peer, whose mood decides whether and when there is an acknowledgement."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def accept(self, sock: socket.socket) -> None:
        """Serve a connection on the loop that runs."""
        asyncio.get_running_loop().create_task(self._serve(sock), name=PEER)

    async def _serve(self, sock: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        unpacker = msgpack.Unpacker(raw=True, strict_map_key=False)
        answered: list[Delivery] = []
        try:
            while data := await reader.read(65536):
                unpacker.feed(data)
                for tag, block, option in unpacker:
                    answered, events = [], _events(tag.decode(), block)
                    await self._peer.give(events)
                    if reader.at_eof() or writer.is_closing():
                        self._peer.note_unheard(events)
                    else:
                        writer.write(msgpack.packb({"ack": option[b"chunk"].decode()}))
                        answered = events
        except ConnectionError:  # also of who closes a connection in which there is something to read: the answer
            if answered:
                self._peer.note_unheard(answered)
        finally:
            writer.transport.abort()


PEER: Final = "peer"
"""The name of tasks that are not the program's."""


def _events(tag: str, block: bytes) -> list[Delivery]:
    found: list[Delivery] = []
    entries: Any = msgpack.Unpacker(io.BytesIO(block), strict_map_key=False)
    for _, record in entries:
        text, path = str(record.get("message", record)), str(record.get("path", ""))
        found.append(Delivery(0.0, tag, text, path, str(record.get("source", ""))))
    return found
