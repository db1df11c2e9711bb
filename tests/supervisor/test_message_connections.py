"""Connections of message inputs over reloads: their senders are told nothing, and have lost nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from logpipe.testing import DEADLINE, wait_for
from tests.net import certificates
from tests.services.ports import adjacent_ports
from tests.supervisor.in_process import in_this_process

OUTPUT = "<match **>\n@type lines\npath {}\n<buffer>\nflush_mode immediate\n</buffer>\n</match>\n"
TCP = "<source>\n@type tcp\ntag t\nbind 127.0.0.1\nport {}\n{}\n<parse>\n@type none\n</parse>\n</source>\n"
COUNTED = (
    "<source>\n@type syslog\ntag t\nbind 127.0.0.1\nport {}\nframe_type octet_count\n"
    "<parse>\n@type none\n</parse>\n<transport tcp>\n</transport>\n{}\n</source>\n"
)
RELOADS = 3

pytestmark = pytest.mark.usefixtures("own_signals")


def lines(count: int) -> Iterator[bytes]:
    return (b"number %d\n" % number for number in range(count))


def octets(count: int) -> Iterator[bytes]:
    return (b"%d <13>number %d" % (len(str(number)) + 11, number) for number in range(count))


def numbers(path: Path) -> list[int]:
    return list(map(int, re.findall(r"number (\d+)", path.read_text()))) if path.exists() else []


@pytest.mark.parametrize(("source", "messages"), [(TCP, lines), (COUNTED, octets)], ids=["delimited", "counted"])
async def test_nothing_is_lost(source: str, messages: object, tmp_path: Path) -> None:
    """One sender that never looks back, and cuts its messages anywhere, through some reloads."""
    config, port, out = tmp_path / "conf", adjacent_ports(1), tmp_path / "out"
    config.write_text(source.format(port, "") + OUTPUT.format(out))
    data = b"".join(messages(1_000))  # type: ignore[operator]
    async with in_this_process(config, tmp_path / "log") as worker:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        at = 0
        for number in range(RELOADS):
            reloading = asyncio.ensure_future(worker.reload())  # noqa: TID251
            end = (number + 1) * len(data) // RELOADS
            while at < end or not reloading.done():
                if at < end:
                    writer.write(data[at : at + 97])
                    at += 97
                await asyncio.sleep(0)
            await reloading
        writer.write(data[at:])
        await wait_for(lambda: len(numbers(out)) >= 1_000)
        assert numbers(out) == list(range(1_000))
        writer.close()


async def test_half_a_message_over_tls(tmp_path: Path) -> None:
    """Its other half comes after the reload."""
    config, port, out = tmp_path / "conf", adjacent_ports(1), tmp_path / "out"
    tls = f"<transport tls>\n{certificates.write(tmp_path)}</transport>"
    config.write_text(TCP.format(port, tls) + OUTPUT.format(out))
    async with in_this_process(config, tmp_path / "log") as worker:
        await worker.reload()
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=certificates.trusting())
        writer.write(b"number 1\nnum")
        await wait_for(lambda: numbers(out) == [1])
        await worker.reload()
        writer.write(b"ber 2\n")
        await wait_for(lambda: numbers(out) == [1, 2])
        writer.close()


async def test_other_terms(tmp_path: Path) -> None:
    """Who cuts messages otherwise cannot go on: the connection ends, and so it does where nobody listens any more."""
    config, port, out = tmp_path / "conf", adjacent_ports(2), tmp_path / "out"
    config.write_text(TCP.format(port, "") + OUTPUT.format(out))
    async with in_this_process(config, tmp_path / "log") as worker:
        for text in (TCP.format(port, "delimiter ;"), TCP.format(port + 1, "")):
            await worker.reload()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"number 1\n;")
            await wait_for(lambda: numbers(out)[-1:] == [1])
            config.write_text(text + OUTPUT.format(out))
            await worker.reload()
            async with asyncio.timeout(DEADLINE):
                assert await reader.read() == b""
            writer.close()


async def test_at_the_end(tmp_path: Path) -> None:
    """What has come is taken, and the connection ends."""
    config, port, out = tmp_path / "conf", adjacent_ports(1), tmp_path / "out"
    config.write_text(TCP.format(port, "") + OUTPUT.format(out))
    async with in_this_process(config, tmp_path / "log") as worker:
        await worker.reload()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"number 1\n")
        await wait_for(lambda: numbers(out) == [1])
    async with asyncio.timeout(DEADLINE):
        assert await reader.read() == b""
    writer.close()
