"""Messages of syslog over UDP, to an output that takes everything.

The kernel drops what nobody has read in time, so whoever sends waits where it is too far ahead. It is a thread of its
own, and the CPU time of the other one counts.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Callable

from logpipe.builtin.in_syslog import Syslog
from logpipe.testing import pipeline
from tests.benchmarks.report import aim

SHARE = 0.4
"""Of the yardstick's events per CPU second."""
AHEAD = 2000
"""Messages that are sent before those before them are known to be taken."""
LINE = b"<%d>Sep 10 00:%02d:%02d web-1 nginx[%d]: GET /orders/%d HTTP/1.1 200 %d upstream 10.0.0.7:8080 in 0.013 s"

TEXT = """
<source>
  @type syslog
  tag system
  bind 127.0.0.1
  port 0
  <transport udp>
    receive_buffer_size 4m
  </transport>
</source>
<match **>
  @type null
</match>
<label @FLUENT_LOG>
  <match **>
    @type null
  </match>
</label>
"""


def report(*, messages: int = 200_000, rounds: int = 3, yardstick: float | None = None) -> list[str]:
    """Run it and return the figures as lines of text; `yardstick` is in events per CPU second."""
    costs = []
    for number in range(rounds):
        sys.stderr.write(f"syslog over UDP: round {number + 1} of {rounds}\n")
        costs.append(asyncio.run(_cost(messages)))
    per_second = 1 / min(costs)
    rows = ["messages", f"  syslog over UDP, parsed, to null: {per_second:,.0f} events/CPU s"]
    if yardstick is not None:
        rows.append(aim("of the yardstick's events/CPU s", per_second / yardstick, "", at_least=SHARE))
    return rows


async def _cost(count: int) -> float:
    """Return the CPU seconds of each message."""
    async with pipeline(TEXT) as running:
        port = running.plugin(Syslog).endpoint.names()[0][1]
        taken = 0
        sending = asyncio.create_task(asyncio.to_thread(send, port, count, lambda: taken))  # noqa: TID251
        began = time.thread_time()
        while taken < count:
            await asyncio.sleep(0.005)
            # of the outputs alone: what an input says of dropped datagrams is read from a file
            outputs = (stage.host.metrics.snapshot() for stage in running.graph.stages.outputs)
            taken = int(sum(each["taken_records"] for each in outputs))
        cost = (time.thread_time() - began) / count
        await sending
        return cost


def send(port: int, count: int, taken: Callable[[], int]) -> None:
    """Send messages, and no more of them ahead of those that are taken than the kernel has room for."""
    lines = [LINE % (n % 4 + 12, n // 60 % 60, n % 60, 1000 + n % 7, n, n * 7919 % 20_000) for n in range(1000)]
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        while sent < count:
            while sent - taken() >= AHEAD:
                time.sleep(0.001)
            for _ in range(min(200, count - sent)):
                sock.send(lines[sent % 1000])
                sent += 1
