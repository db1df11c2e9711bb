"""What parsing and formatting cost: `python -m tests.benchmarks.parse_lines` prints nanoseconds per event.

The best of many runs over a batch of a thousand, without the garbage collector, as in a worker that has tuned it.
"""

from __future__ import annotations

import gc
import timeit
from collections.abc import Callable, Iterator

import orjson

from logpipe import EventBatch
from logpipe.builtin.formatters.json import JsonFormatter
from logpipe.builtin.formatters.out_file import OutFileFormatter
from logpipe.builtin.parsers.cri import CriParser
from logpipe.builtin.parsers.json import JsonParser
from logpipe.builtin.parsers.regexp import RegexpParser
from logpipe.testing import build
from logpipe.time_format import compile_time_parser

EVENTS = 1000
RUNS = 200
DOCKER = "%Y-%m-%dT%H:%M:%S.%NZ"
APACHE = r"""
expression /^(?<host>\S*) \S* \S* \[(?<time>[^\]]*)\] "(?<method>\S+) (?<path>\S*)[^"]*" (?<code>\d+) (?<size>\d+)/
time_format %d/%b/%Y:%H:%M:%S %z
"""


def stamps() -> Iterator[str]:
    """Yield docker's stamps: nine digits less the zeros at the end, fifty a second."""
    for number in range(EVENTS):
        fraction = f"{number * 7_654_321 % 1_000_000_000:09d}".rstrip("0") or "0"
        yield f"2016-06-15T11:{number // 3000:02d}:{number // 50 % 60:02d}.{fraction}Z"


def cost(run: Callable[[], object]) -> float:
    """Return the nanoseconds per event of a run over all of them."""
    run()
    return min(timeit.repeat(run, number=1, repeat=RUNS)) / EVENTS * 1e9


def main() -> None:
    """Measure and print."""
    docker = [
        orjson.dumps({"log": f"GET /index.html HTTP/1.1 200 {number}\n", "stream": "stdout", "time": stamp})
        for number, stamp in enumerate(stamps())
    ]
    cri = [f"{stamp} stdout F GET /index.html HTTP/1.1 200".encode() for stamp in stamps()]
    apache = [b'127.0.0.1 - - [15/Jun/2016:11:39:30 +0000] "GET / HTTP/1.1" 200 777'] * EVENTS
    batch = EventBatch("app.web", [1_466_000_000_000_000_000] * EVENTS, list(map(orjson.loads, docker)))
    times, texts = compile_time_parser(DOCKER), list(stamps())
    json_parser, cri_parser = build(JsonParser, f"time_format {DOCKER}"), build(CriParser)
    regexp_parser = build(RegexpParser, APACHE)
    json_formatter, file_formatter = build(JsonFormatter), build(OutFileFormatter)
    gc.disable()
    for name, run in {
        "orjson.loads alone, docker lines": lambda: list(map(orjson.loads, docker)),
        "parser json, docker lines": lambda: json_parser.parse_lines(docker, 0),
        "parser json, one bad line in a thousand": lambda: json_parser.parse_lines([b"bad", *docker], 0),
        "parser cri": lambda: cri_parser.parse_lines(cri, 0),
        "parser regexp, access log": lambda: regexp_parser.parse_lines(apache, 0),
        "time stamps, many at once": lambda: times.many(texts),
        "time stamps, one by one": lambda: [times.one(text) for text in texts],
        "orjson.dumps alone": lambda: list(map(orjson.dumps, batch.records)),
        "formatter json": lambda: json_formatter.format_batch(batch, print),
        "formatter out_file": lambda: file_formatter.format_batch(batch, print),
    }.items():
        print(f"{cost(run):8.0f} ns  {name}")  # noqa: T201 - it is what this program is for


if __name__ == "__main__":
    main()
