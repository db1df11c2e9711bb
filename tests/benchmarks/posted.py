"""Lines of JSON that are posted, beside a server written by hand on the same library: what in_http costs.

The client is a process of its own; both servers run in turn in this one, whose CPU time counts, and the best of each.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web

from logpipe.builtin.in_http import HttpInput
from logpipe.testing import pipeline, wait_for
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


def report(*, lines: int = 300_000, rounds: int = 3) -> list[str]:
    """Run both and return the figures as lines of text."""
    requests = max(1, lines // LINES)
    costs: dict[str, list[float]] = {"yardstick": [], "logpipe": []}
    for number in range(rounds):
        sys.stderr.write(f"posted lines: round {number + 1} of {rounds}\n")
        costs["yardstick"].append(asyncio.run(_by_hand(requests)))
        costs["logpipe"].append(asyncio.run(_logpipe(requests)))
    best = {name: min(found) for name, found in costs.items()}
    per_second = {name: f"{LINES / cost:,.0f}" for name, cost in best.items()}
    return [
        f"lines of JSON over HTTP to null, {LINES} a request",
        f"  {per_second['logpipe']} events/CPU s, and {per_second['yardstick']} by hand",
        aim("of the yardstick's events/CPU s", best["yardstick"] / best["logpipe"], "", at_least=LEAST_RATIO),
    ]


async def _measured(port: int, requests: int, arrived: Callable[[], Awaitable[None]]) -> float:
    """Return the CPU seconds of this process for each request."""
    await _posted(port, 2)  # what is done once
    began = time.process_time()
    await _posted(port, requests)
    await arrived()
    return (time.process_time() - began) / requests


async def _posted(port: int, requests: int) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.posting", str(port), str(requests)
    )
    if await process.wait():
        raise RuntimeError("the client has failed")


async def _logpipe(requests: int) -> float:
    async with pipeline(TEXT) as running:
        count = (requests + 2) * LINES

        async def arrived() -> None:
            await wait_for(lambda: running.metric("taken_records") >= count, "the events")

        return await _measured(running.plugin(HttpInput).port, requests, arrived)


async def _by_hand(requests: int) -> float:
    """Read, decode, take the time out, and count: no limits, no routes, no errors."""
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
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()

        async def arrived() -> None:
            if taken != (requests + 2) * LINES:
                raise RuntimeError(f"{taken} events have come")

        return await _measured(runner.addresses[0][1], requests, arrived)
    finally:
        await runner.cleanup()
