"""Senders that never pause, through reloads and through starts of the program anew: nothing is lost, nobody refused."""

from __future__ import annotations

import asyncio
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgpack
import pytest

from logpipe.testing import wait_for
from tests.services.ports import adjacent_ports
from tests.supervisor.running import PATIENCE, Running

CONFIG = """
<source>
  @type forward
  bind 127.0.0.1
  port {forward}
</source>
<source>
  @type http
  bind 127.0.0.1
  port {http}
</source>
<source>
  @type syslog
  bind 127.0.0.1
  port {syslog}
  tag syslog
  <transport tcp>
  </transport>
</source>
<source>
  @type monitor_agent
  bind 127.0.0.1
  port {monitor}
</source>
<match **>
  @type lines
  path {out}
  <buffer>
    flush_interval 0.1
  </buffer>
</match>
<label @FLUENT_LOG>
  <match **>
    @type null
  </match>
</label>
"""
TURNS = 20
EVENTS = 20
"""Of each sender between two turns of the program."""
Send = Callable[[asyncio.StreamReader, asyncio.StreamWriter, str], Awaitable[None]]


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


async def request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes, body: bytes = b"") -> None:
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    writer.write(head + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + length + b"\r\n" + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 OK" in answer, answer
    found = re.search(rb"Content-Length: (\d+)", answer)
    await reader.readexactly(int(found[1]) if found else 0)


async def post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: str) -> None:
    await request(reader, writer, b"POST /http", b'{"message":"%s"}' % text.encode())


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _text: str) -> None:
    await request(reader, writer, b"GET /api/health")


async def log(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: str) -> None:
    writer.write(f"<13>Jan  1 00:00:00 host program: {text}\n".encode())
    await writer.drain()


async def forward(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: str) -> None:
    writer.write(msgpack.packb(["forward", 0, {"message": text}]))
    await writer.drain()


async def forward_and_wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: str) -> None:
    writer.write(msgpack.packb(["forward", [[0, {"message": text}]], {"chunk": text}]))
    answer = msgpack.packb({"ack": text})
    assert await reader.readexactly(len(answer)) == answer


SENDERS: dict[str, tuple[str, Send]] = {
    "http": ("http", post),
    "monitor_agent": ("monitor", ask),
    "syslog": ("syslog", log),
    "forward": ("forward", forward),
    "forward with acknowledgements": ("forward", forward_and_wait),
}


async def keeps_on(name: str, send: Send, port: int, counts: Counter[str], *, keeps: bool) -> None:
    """Send without pause, by one connection, or by one for each event; any that fails ends it."""
    kind = f"{name} by {'one connection' if keeps else 'many'}"
    while True:
        async with connected(port) as (reader, writer):
            while True:
                await send(reader, writer, f"{kind}, number {counts[kind]}")
                counts[kind] += 1
                await asyncio.sleep(0.001)
                if not keeps:
                    break


async def is_up(port: int) -> bool:
    with suppress(ConnectionRefusedError):
        async with connected(port):
            return True
    return False


@pytest.mark.long("twenty turns of the program under load")
@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGUSR2, "the program starts anew"),
        (signal.SIGHUP, "starting by the configuration as it was read"),
    ],
    ids=["restarts", "reloads"],
)
async def test_nothing_is_lost(running: Running, number: signal.Signals, said: str) -> None:
    """Of what was sent by old connections and by new ones, and every event is delivered once."""
    first = adjacent_ports(5)
    ports = {"forward": first, "http": first + 1, "syslog": first + 2, "monitor": first + 3}
    out = running.folder / "out"
    running.config.write_text(CONFIG.format(**ports, out=out))
    running.start()
    for port in ports.values():
        while not await is_up(port):
            await asyncio.sleep(0.05)
    counts: Counter[str] = Counter()
    async with asyncio.timeout(TURNS * PATIENCE), asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(keeps_on(name, send, ports[port], counts, keeps=keeps))
            for name, (port, send) in SENDERS.items()
            for keeps in (True, False)
        ]
        for turn in range(TURNS):
            running.send(number)
            while running.said.count(said) <= turn:
                await asyncio.sleep(0.05)
            before = dict(counts)
            while any(counts[kind] < before.get(kind, 0) + EVENTS for kind in before) or len(before) < len(tasks):
                await asyncio.sleep(0.05)
                before = before if len(before) == len(tasks) else dict(counts)
        for task in tasks:
            task.cancel()
    sent = {
        f"{kind}, number {each}" for kind, count in counts.items() if "monitor" not in kind for each in range(count)
    }
    await wait_for(lambda: sent <= delivered(out).keys(), "all events", seconds=PATIENCE)
    # an event may have been under way when its sender was stopped
    assert [each for each, count in delivered(out).items() if count > 1] == []
    assert running.stop() == 0


def delivered(out: Path) -> Counter[str]:
    return Counter(re.findall(r"[a-z_ ]+ by [a-z ]+, number \d+", out.read_text())) if out.exists() else Counter()
