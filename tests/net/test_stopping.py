"""Stopping: nothing new is read, what was read is delivered and answered, and who comes waits for the next graph."""

from __future__ import annotations

import asyncio
import socket

from logpipe.testing import DEADLINE, drive, wait_for
from logpipe.testing.strangers import connection, until_closed
from tests.net.stages import Lines, Packets, Web


async def test_a_connection() -> None:
    """It ends behind the answers to what had come; what comes later is not read."""
    async with drive(Lines) as running:
        number = running.plugin(Lines).port
        collector = running.collector()
        collector.open.clear()
        async with connection(number) as (reader, writer), connection(number) as (idle, _):
            writer.write(b"one\ntwo\n")
            await wait_for(lambda: running.plugin(Lines).host.emitting, "the first line to be under way")
            await wait_for(lambda: running.plugin(Lines).listener.connections == 2)
            running.graph.request_stop()
            async with asyncio.timeout(DEADLINE):
                assert await until_closed(idle) == b""
            async with connection(number) as (late, late_writer):
                late_writer.write(b"three\n")
                writer.write(b"four\n")
                collector.open.set()
                assert await until_closed(reader) == b"one\ntwo\n"
                assert await until_closed(late) == b""
        assert [record["text"] for record in running.records()] == ["one", "two"]


async def test_a_request() -> None:
    """The one that is being handled is answered, the next is not handled any more."""
    async with drive(Web) as running:
        collector = running.collector()
        collector.open.clear()
        async with connection(running.plugin(Web).port) as (reader, writer):
            writer.write(b"POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\none" * 2)
            await wait_for(lambda: running.plugin(Web).host.emitting, "the first request to be under way")
            running.graph.request_stop()
            await wait_for(lambda: running.plugin(Web).is_quiet, "the order to read no more")
            collector.open.set()
            answers = await until_closed(reader)
        assert answers.count(b"HTTP/1.1 200 OK") == 1
        assert answers.count(b"HTTP/1.1 503 Service Unavailable") == 1
        assert [record["text"] for record in running.records()] == ["one"]


async def test_datagrams() -> None:
    """What has not been read is left to the kernel."""
    async with drive(Packets, "<transport udp>\n</transport>\n") as running:
        collector = running.collector()
        collector.open.clear()
        address = ("127.0.0.1", running.plugin(Packets).port)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"one", address)
            await wait_for(lambda: running.plugin(Packets).host.emitting, "the first datagram to be under way")
            running.graph.request_stop()
            await wait_for(lambda: running.plugin(Packets).is_quiet, "the order to read no more")
            sender.sendto(b"two", address)
            collector.open.set()
    assert [record["text"] for record in running.records()] == ["one"]
