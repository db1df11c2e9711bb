"""Input for benchmarks: a container's log as docker's json-file driver writes it, the same bytes each time."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path

FIRST = 1_466_000_000.0
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"
PATHS = ("/api/v1/users", "/healthz", "/orders/{}", "/static/js/app.{}.js", "/search?q=kafka+topic+{}")
STATUS = (200, 200, 200, 304, 404, 500)


def write_log(file: Path, lines: int, *, seed: int = 7) -> None:
    """Write lines of a web server's access log, of about 250 bytes each and a millisecond apart."""
    rnd = random.Random(seed)
    time = FIRST
    with file.open("w", encoding="utf-8") as log:
        for _ in range(lines):
            time += rnd.random() * 0.002
            log.write(_line(rnd, time))


def _line(rnd: random.Random, time: float) -> str:
    moment = datetime.fromtimestamp(int(time), UTC)
    address = f"10.{rnd.randrange(255)}.{rnd.randrange(255)}.{rnd.randrange(255)}"
    request = f"GET {rnd.choice(PATHS).format(rnd.randrange(99_999))} HTTP/1.1"
    text = (
        f'{address} - - [{moment:%d/%b/%Y:%H:%M:%S} +0000] "{request}" {rnd.choice(STATUS)} {rnd.randrange(20_000)} '
        f'"https://shop.example.com/" "{AGENT}"'
    )
    stamp = f"{moment:%Y-%m-%dT%H:%M:%S}.{int(time % 1 * 1e9):09d}Z"
    entry = {"log": f"{text}\n", "stream": "stdout", "time": stamp}
    return json.dumps(entry, separators=(",", ":")) + "\n"
