"""Senders of messages, and where they send."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

from logpipe.builtin.message_inputs.plugin import MessageInput
from logpipe.testing import Pipeline
from logpipe.testing.strangers import connection


def port(running: Pipeline) -> int:
    """Return where the pipeline's input listens."""
    number: int = running.plugin(MessageInput).endpoint.names()[0][1]
    return number


async def send(running: Pipeline, *pieces: bytes) -> None:
    """Send pieces over one connection, each when the one before has been read, and end it."""
    async with connection(port(running)) as (_, writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()


def send_datagrams(running: Pipeline, datagrams: Iterable[bytes], host: str = "127.0.0.1") -> None:
    """Send each as a datagram."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for each in datagrams:
            sender.sendto(each, (host, port(running)))


async def records(running: Pipeline, count: int, pattern: str = "**") -> list[dict[str, Any]]:
    """Return the records that have come, when there are so many."""
    await running.wait_for(lambda: len(running.records(pattern)) >= count, f"{count} records")
    await asyncio.sleep(0)
    return running.records(pattern)
