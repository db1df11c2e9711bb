"""Lines of JSON that are posted, beside a server written by hand on the same library: what in_http costs.

The client is a process of its own; both servers stand in this one and are asked in turn, a few requests at a time. What
else the machine does costs some turns more than others, up to twice as much; so the best of many short ones counts.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import orjson
from aiohttp import web

from logpipe.builtin.in_http import HttpInput
from logpipe.testing import pipeline
from tests.benchmarks.posting import LINES
from tests.benchmarks.report import aim

LEAST_RATIO = 0.8
TEXT = """
<source>
  @type http
  bind 127.0.0.1
  port 0
</source>
<match app>
  @type null
</match>
<label @FLUENT_LOG>
  <match **>
    @type null
  </match>
</label>
"""


TURN = 10
"""Requests."""


def report(*, lines: int = 300_000, rounds: int = 3, yardstick: float | None = None) -> list[str]:
    """Run both and return the figures as lines of text; `yardstick` is in events per CPU second, the flagship's."""
    turns = max(1, rounds * lines // LINES // TURN)
    sys.stderr.write(f"posted lines: {turns} turns\n")
    costs = asyncio.run(_compared(turns))
    best = {name: min(found) for name, found in costs.items()}
    per_second = {name: f"{LINES / cost:,.0f}" for name, cost in best.items()}
    rows = [
        f"lines of JSON over HTTP to null, {LINES} a request",
        f"  {per_second['logpipe']} events/CPU s, and {per_second['by hand']} by hand",
        aim("of the events/CPU s by hand", best["by hand"] / best["logpipe"], "", at_least=LEAST_RATIO),
    ]
    if yardstick is not None:
        ratio = LINES / best["logpipe"] / yardstick
        rows.append(aim("of the yardstick's events/CPU s", ratio, "", at_least=LEAST_RATIO))
    return rows


async def _compared(turns: int) -> dict[str, list[float]]:
    """Return the CPU seconds of this process for a request, of each server in each turn."""
    costs: dict[str, list[float]] = {"by hand": [], "logpipe": []}
    async with _by_hand() as by_hand, pipeline(TEXT) as running, _client() as post:
        ports = {"by hand": by_hand, "logpipe": running.plugin(HttpInput).port}
        for number in range(1 + turns):
            for name, port in ports.items():
                began = time.process_time()
                await post(port, TURN)
                if number:  # what is done once is done
                    costs[name].append((time.process_time() - began) / TURN)
        count = (1 + turns) * TURN * LINES
        await running.wait_for(lambda: running.metric("taken_records") >= count, "the events")
    return costs


@asynccontextmanager
async def _client() -> AsyncIterator[Callable[[int, int], Awaitable[None]]]:
    """Yield what posts so many requests to a port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.posting", stdin=PIPE, stdout=PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    async def post(port: int, requests: int) -> None:
        stdin.write(f"{port} {requests}\n".encode())
        if not await stdout.readline():
            raise RuntimeError("the client has failed")

    try:
        yield post
    finally:
        stdin.close()
        await process.wait()


@asynccontextmanager
async def _by_hand() -> AsyncIterator[int]:
    """Read, decode, take the time out, and count: no limits, no routes, no errors; yields the port."""
    taken = 0

    async def handle(request: web.BaseRequest) -> web.Response:
        nonlocal taken
        lines = await request.read()
        records = [orjson.loads(line) for line in lines.split(b"\n") if line]
        times = [record.pop("time") * 1_000_000_000 for record in records]
        taken += len(times)
        return web.Response()

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
