"""What events cost that come over a connection in the forward protocol, from another process.

The sender writes the same message again and again; what it takes is not counted.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE

import uvloop

from logpipe.builtin.forward_protocol import Option, forward_message, pack_event, packed_message, single_message
from logpipe.testing import pipeline
from tests.benchmarks.line_stages import BATCH, SECOND, record
from tests.benchmarks.lines import OWN_LOG
from tests.benchmarks.report import aim

LEAST_RATIO = 2.4
START = 1_466_000_000 * SECOND

TO_NULL = """
<source>
  @type forward
  bind 127.0.0.1
  port 0
</source>
<match app>
  @type null
</match>
"""

SENDER = """
import socket, sys
message = sys.stdin.buffer.read()
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as sock:
    for _ in range(int(sys.argv[2])):
        sock.sendall(message)
    sock.shutdown(socket.SHUT_WR)
    sock.recv(1)
"""


def messages() -> dict[str, bytes]:
    """Return the same thousand events in each form, by its name."""
    events = [(START + number * 1_000_007, record(number)) for number in range(BATCH)]
    packed = [pack_event(moment, fields) for moment, fields in events]
    return {
        "packed, 1,000 a message": packed_message("app", packed, Option(size=BATCH)),
        "packed and compressed by gzip": packed_message("app", packed, Option(size=BATCH, compressed="gzip")),
        "in an array, 1,000 a message": forward_message("app", packed, Option(size=BATCH)),
        "one a message": b"".join(single_message("app", moment, fields) for moment, fields in events),
    }


def report(yardstick: float, *, lines: int = 300_000, rounds: int = 3) -> list[str]:
    """Run everything and return the figures as lines of text.

    Args:
        yardstick: events per CPU second that the flagship's work takes, written by hand; of the same run.
        lines: how many events there are, in thousands.
        rounds: how often each form is tried; the best counts.
    """
    count = max(1, lines // BATCH)
    rows = ["events of the forward input, from a connection to null"]
    first = 0.0
    for name, message in messages().items():
        sys.stderr.write(f"forward, {name}\n")
        rate = count * BATCH / min(uvloop.run(_cost(message, count)) for _ in range(rounds))
        first = first or rate
        rows.append(f"  {name}: {rate:,.0f} events/CPU s")
    return [*rows, aim("packed, as many times as the yardstick", first / yardstick, "", at_least=LEAST_RATIO)]


async def _cost(message: bytes, count: int) -> float:
    """Return the CPU seconds of this process for so many messages."""
    async with pipeline(TO_NULL + OWN_LOG) as running:
        endpoints = running.graph.world.endpoints._all.values()
        port = next(each.names()[0][1] for each in endpoints if each.address.kind == "tcp")
        sender = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SENDER, str(port), str(count), stdin=PIPE, stdout=DEVNULL
        )
        began = time.process_time()
        await sender.communicate(message)
        await running.wait_for(lambda: running.metric("taken_records") >= count * BATCH, "the events")
        return time.process_time() - began
