"""What expressions cost: part of `make bench`, and alone `python -m tests.benchmarks.expressions`.

The best of many runs over a batch of a thousand container records, less the bare loop. Beside the five typical
templates stands what a real Ruby takes for them, where one is installed.
"""

from __future__ import annotations

import gc
import json
import shutil
import subprocess
import timeit
from collections.abc import Callable, Sequence
from typing import Any, Final

from logpipe import Record, Time
from logpipe.ruby import Reading, RecordRules, compile_record
from tests.benchmarks.report import aim

MOST_FIELD: Final = 0.12
MOST_TYPICAL: Final = 2.0
"""Microseconds a record that a nested field, and the five typical templates, may take."""
EVENTS: Final = 1000
RUNS: Final = 200
RECORD: Final[Record] = {
    "log": "GET /index.html HTTP/1.1 200 web.example.com\n",
    "stream": "stdout",
    "level": "warn",
    "docker": {"container_id": "e4b0" * 16},
    "kubernetes": {
        "container_name": "web",
        "namespace_name": "shop-prod",
        "pod_name": "web-5d7f8c9b4d-x2x8z",
        "host": "node-1",
        "labels": {"app": "web", "tier": "frontend"},
    },
}
TYPICAL: Final = (
    'record["kubernetes"]["namespace_name"]',
    'record["severity"] || record["level"] || "none"',
    r'record["log"].gsub(/\./, "_")',
    'record["stream"] == "stdout" ? "info" : "error"',
    '"#{record["kubernetes"]["namespace_name"]}.#{record["kubernetes"]["pod_name"]}"',
)
OTHERS: Final = (
    'kubernetes["namespace_name"]',
    'record.dig("kubernetes", "labels", "app")',
    'time.strftime("%Y-%m-%dT%H:%M:%S.%L%z")',
    "tag_parts[2]",
    'record["log"].split(" ")[1]',
    r'record["log"] =~ /(\w+)\.html/ ? $1 : nil',
    'record["kubernetes"]["labels"].map { |k, v| "#{k}=#{v}" }.join(",")',
)
RUBY: Final = """
require "json"
record = JSON.parse(ARGV[0])
templates = JSON.parse(ARGV[1])
body = templates.each_with_index.map { |t, i| "out#{i} = (#{t})" }.join("; ")
run = eval("->(record, n) { i = 0; while i < n; #{body}; i += 1; end }")
run.call(record, 20000)
best = (1..20).map { t = Process.clock_gettime(Process::CLOCK_MONOTONIC); run.call(record, 20000);
  Process.clock_gettime(Process::CLOCK_MONOTONIC) - t }.min
puts best / 20000 * 1e9
"""


def cost(run: Callable[[list[Record], list[Time]], object]) -> float:
    """Return the nanoseconds per record of a run over a batch."""
    records, times = [RECORD.copy() for _ in range(EVENTS)], [1_466_000_000_123_456_789] * EVENTS
    return min(timeit.repeat(lambda: run(records, times), number=1, repeat=RUNS)) / EVENTS * 1e9


def loop(records: list[Record], _times: list[Time]) -> None:
    """Do nothing with each record, and count them."""
    for _place, _record in enumerate(records):
        pass


def transform(expressions: Sequence[str]) -> Callable[[list[Record], list[Time]], Any]:
    """Return the compiled function that sets one field for each expression."""
    entries = [(f"field{number}", f"${{{expression}}}") for number, expression in enumerate(expressions)]
    return compile_record(entries, RecordRules(Reading(names_are_fields=True))).bind(
        "a.b.c", hostname="h", env={}, missing=lambda *_: None
    )


def ruby(expressions: Sequence[str]) -> float | None:
    """Return what Ruby takes for the expressions, in nanoseconds; None where there is no Ruby."""
    program = shutil.which("ruby")
    if program is None:
        return None
    arguments = [program, "-e", RUBY, json.dumps(RECORD), json.dumps(expressions)]
    return float(subprocess.run(arguments, capture_output=True, check=True, text=True).stdout)


def report() -> list[str]:
    """Measure, and return the figures as lines of text."""
    gc.disable()
    bare = cost(loop)
    singles = {expression: cost(transform([expression])) - bare for expression in (*TYPICAL, *OTHERS)}
    together = cost(transform(TYPICAL)) - bare
    gc.enable()
    in_ruby = ruby(TYPICAL)
    return [
        "expressions, microseconds a record above the bare loop",
        *(f"  {nanoseconds / 1000:8.3f}  {expression}" for expression, nanoseconds in singles.items()),
        aim("a nested field", singles[TYPICAL[0]] / 1000, " µs", at_most=MOST_FIELD),
        aim("the first five together", together / 1000, " µs", at_most=MOST_TYPICAL),
        "    the same five in ruby: " + ("no ruby here" if in_ruby is None else f"{in_ruby / 1000:.2f} µs"),
    ]


if __name__ == "__main__":
    print("\n".join(report()))  # noqa: T201 - what it is for
