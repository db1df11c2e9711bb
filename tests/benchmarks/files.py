"""What lines of files cost: an access log parsed and written as JSON, and stack traces joined, beside their lines."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from logpipe.engine.running.malloc import tune
from logpipe.testing import pipeline
from tests.benchmarks.container_log import write_log
from tests.benchmarks.lines import OWN_LOG
from tests.benchmarks.report import aim

LEAST_WRITTEN = 0.8
"""Of the yardstick's events per CPU second."""
MOST_JOINED = 2.0
"""What a trace may cost, in what its lines do, each read by an expression as well."""
FRAMES = 9

TAIL = """
<source>
  @type tail
  path {log}
  tag app
  read_from_head true
  <parse>
{parse}
  </parse>
</source>
"""
NULL = "<match app>\n@type null\n</match>\n"
JSON_FILE = """
<match app>
  @type file
  path {folder}/out
  <format>
    @type json
  </format>
  <buffer>
    @type memory
    flush_mode interval
    flush_interval 0.1
    chunk_limit_size 8m
    overflow_action block
  </buffer>
</match>
"""
TRACES = r"""
@type multiline
format_firstline /^\d{4}-/
format1 /^(?<time>[^ ]* [^ ]*) (?<level>\w+) (?<message>.*)/
time_format %Y-%m-%d %H:%M:%S
"""
EACH = r"""
@type regexp
expression /^(?<message>.*)$/
"""


def report(*, lines: int = 300_000, rounds: int = 3, yardstick: float | None = None) -> list[str]:
    """Run everything and return the figures as lines of text; `yardstick` is in events per CPU second."""
    tune()
    traces = lines // (FRAMES + 1)
    with tempfile.TemporaryDirectory(prefix="logpipe-files-") as name:
        folder = Path(name)
        write_access_log(folder / "access.log", lines)
        (folder / "traces.log").write_text("".join(map(trace, range(traces))))
        costs: dict[str, list[float]] = {"written": [], "joined": [], "lines": []}
        for number in range(rounds):
            sys.stderr.write(f"lines of files: round {number + 1} of {rounds}\n")
            written = TAIL.format(log=folder / "access.log", parse="@type nginx") + JSON_FILE
            costs["written"].append(_run(written.format(folder=folder / str(number)), lines, "flushed_records"))
            joined = TAIL.format(log=folder / "traces.log", parse=TRACES) + NULL
            costs["joined"].append(_run(joined, traces - 1, "taken_records"))  # the last may go on
            each = TAIL.format(log=folder / "traces.log", parse=EACH) + NULL
            costs["lines"].append(_run(each, traces * (FRAMES + 1), "taken_records"))
    best = {name: min(found) for name, found in costs.items()}
    rows = ["lines of files", f"  an access log of nginx to a file of JSON: {1 / best['written']:,.0f} events/CPU s"]
    if yardstick is not None:
        rows.append(aim("of the yardstick's events/CPU s", 1 / best["written"] / yardstick, "", at_least=LEAST_WRITTEN))
    together = best["joined"] / (FRAMES + 1)
    each, all_lines = 1 / best["lines"], 1 / together
    rows.append(f"  stack traces of {FRAMES + 1} lines: {all_lines:,.0f} lines/CPU s joined, {each:,.0f} one by one")
    return [*rows, aim("as much as their lines", together / best["lines"], "", at_most=MOST_JOINED)]


def _run(text: str, count: int, counter: str) -> float:
    """Return the CPU seconds of each event."""
    return uvloop.run(_cost(text, count, counter))


async def _cost(text: str, count: int, counter: str) -> float:
    began = time.process_time()
    async with pipeline(text + OWN_LOG) as running:
        outputs = running.graph.stages.outputs

        def arrived() -> bool:
            return sum(each.host.metrics.snapshot().get(counter, 0) for each in outputs) >= count

        await running.wait_for(arrived, "the events")
        return (time.process_time() - began) / count


def write_access_log(file: Path, lines: int) -> None:
    """Write what a container's log holds, as nginx writes it to a file."""
    write_log(file, lines)
    with file.open() as log:
        texts = [json.loads(line)["log"] for line in log]
    file.write_text("".join(texts))


def trace(number: int) -> str:
    """Return a stack trace as Java writes it, fifty of them a second."""
    frames = "".join(
        f"\tat com.example.shop.Orders.place(Orders.java:{number % 900 + line})\n" for line in range(FRAMES)
    )
    clock = f"11:{number // 3000 % 60:02d}:{number // 50 % 60:02d}"
    return f"2016-06-15 {clock} ERROR order {number} has failed: no stock\n{frames}"
