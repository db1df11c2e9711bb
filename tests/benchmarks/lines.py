"""Events that nobody decodes, beside the same events decoded: what the batch as an interface is worth.

Both ways run in turn in this process, and the best of each counts.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from logpipe.codec import LineBatch
from logpipe.testing import pipeline
from tests.benchmarks.container_log import write_log
from tests.benchmarks.line_stages import BATCH, PackedInput, PackedOutput, TrustingJson
from tests.benchmarks.report import aim

LEAST_GAIN = 1.5

TAIL = """
<source>
  @type tail
  path {log}
  tag app
  read_from_head true
  <parse>
    @type {parser}
  </parse>
</source>
<match app>
  @type null
</match>
"""

PACKED = """
<source>
  @type packed_in
  unread {unread}
  count {count}
</source>
<match app>
  @type packed_out
</match>
"""

OWN_LOG = "<label @FLUENT_LOG>\n<match **>\n@type null\n</match>\n</label>\n"


def report(*, lines: int = 300_000, rounds: int = 3) -> list[str]:
    """Run everything and return the figures as lines of text."""
    rows = ["events that pass undecoded, beside the same decoded"]
    with tempfile.TemporaryDirectory(prefix="logpipe-lines-") as name:
        log = Path(name) / "input.log"
        write_log(log, lines)
        log.write_bytes(re.sub(rb',"time":"[^"]*"', b"", log.read_bytes()))

        def tail(parser: str) -> float:
            return asyncio.run(_cost(TAIL.format(log=log, parser=parser), lines))

        def forward(unread: str) -> float:
            count = lines // BATCH * BATCH
            return asyncio.run(_cost(PACKED.format(unread=unread, count=count), count))

        rows += _compared(
            "lines of JSON without a time, tail to null", lambda: tail("json"), lambda: tail("trusting_json"), rounds
        )
        rows += _compared("packed events, in and out", lambda: forward("false"), lambda: forward("true"), rounds)
    return rows


def _compared(what: str, decoded: Callable[[], float], undecoded: Callable[[], float], rounds: int) -> list[str]:
    """Return the events per CPU second of both ways, and how they compare.

    Raises:
        RuntimeError: somebody decoded what was to pass undecoded.
    """
    costs: dict[str, list[float]] = {"decoded": [], "undecoded": []}
    for number in range(rounds):
        sys.stderr.write(f"{what}: round {number + 1} of {rounds}\n")
        costs["decoded"].append(decoded())
        before = LineBatch.asked.copy()
        costs["undecoded"].append(undecoded())
        if asked := LineBatch.asked - before:
            raise RuntimeError(f"{what}: decoded for {asked}")
    best = {kind: min(found) for kind, found in costs.items()}
    per_second = {kind: 1 / cost for kind, cost in best.items()}
    figures = f"{per_second['decoded']:,.0f} events/CPU s decoded, {per_second['undecoded']:,.0f} not"
    return [f"  {what}: {figures}", aim("as many times", best["decoded"] / best["undecoded"], "", at_least=LEAST_GAIN)]


async def _cost(text: str, count: int) -> float:
    """Return the CPU seconds that each of `count` events takes through a configuration."""
    began = time.process_time()
    async with pipeline(text + OWN_LOG, TrustingJson, PackedInput, PackedOutput) as running:
        await running.wait_for(lambda: running.metric("taken_records") >= count, "the events")
        return (time.process_time() - began) / count
