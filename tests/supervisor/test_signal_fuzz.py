"""Signals at random moments, from the first on: it ends in time and every line is there."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter

import pytest

from tests.supervisor.running import Running

pytestmark = pytest.mark.long("the program is started ten times, and the moments of its signals are random")

HARMLESS = (signal.SIGHUP, signal.SIGUSR2, signal.SIGUSR1, signal.SIGCONT)
MOST_SECONDS = 2.0
"""The program is up after less than half of that."""


@pytest.mark.parametrize(("workers", "runs"), [(1, 10), (2, 4)])
def test_signals_at_random_moments(running: Running, workers: int, runs: int) -> None:
    """Every run ends with status 0; what was stopped gracefully is not delivered twice, and nothing is lost."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - shown where it fails
    chance = random.Random(seed)
    at_once = 0
    for _ in range(runs):
        running.configure(workers=workers, output="pause 0.001", shutdown_timeout="30")
        running.start()
        for _ in range(chance.randrange(4)):
            time.sleep(chance.uniform(0, MOST_SECONDS / 3))
            running.send(chance.choice(HARMLESS))
            running.write(chance.randrange(50))
        time.sleep(chance.uniform(0, MOST_SECONDS))
        running.write(chance.randrange(50))
        running.send(chance.choice([signal.SIGTERM, signal.SIGINT]))
        if chance.random() < 0.2:
            time.sleep(chance.uniform(0, 0.1))
            running.send(signal.SIGTERM)
            at_once += 1
        assert running.end() == 0, f"seed {seed}: {running.said[-3000:]}"
    running.configure(workers=workers)
    running.write(1)
    running.start()
    running.has_delivered_all()
    assert running.stop() == 0
    assert "unexpected" not in running.said, f"seed {seed}"
    repeated = sum(count - 1 for count in Counter(running.delivered).values())
    assert at_once or not repeated, f"seed {seed}: {repeated} of {len(running.written)} delivered twice"
