"""The engine in simulated time: a few hundred schedules of each world, always the same ones."""

from __future__ import annotations

import gc
import itertools
import os
from pathlib import Path

import pytest

from tests.simulation.found import FOUND
from tests.simulation.orders import every
from tests.simulation.run import folder_in_memory
from tests.simulation.search import drawn, search
from tests.simulation.trial import Schedule
from tests.simulation.worlds import WORLDS

SECONDS = float(os.environ.get("LOGPIPE_SIMULATION_SECONDS", "0"))
"""Of random schedules of all worlds together, as CI runs them; without it there are a few of each."""

SEED = int(os.environ.get("LOGPIPE_SIMULATION_SEED", "1"))
"""Of the first random schedule."""


@pytest.mark.parametrize(("name", "schedule"), FOUND, ids=lambda each: each if isinstance(each, str) else "")
def test_what_was_found_once_stays_mended(name: str, schedule: Schedule) -> None:
    """Each schedule that showed a fault of the engine."""
    with folder_in_memory() as folder:
        tried = search(WORLDS[name], [(0, schedule)], Path(folder) / "place")
    assert tried.found is None, tried.found.report()
    assert tried.count


SHORT, RANDOM = 10, 2


@pytest.mark.parametrize("name", WORLDS)
def test_what_is_promised_holds_in_every_order(name: str) -> None:
    """The first of all schedules that there are, and some random ones."""
    world = WORLDS[name]
    short = enumerate(itertools.islice(every(world), SHORT))
    seeds = itertools.count(SEED) if SECONDS else range(SEED, SEED + RANDOM)
    long = ((seed, drawn(world, seed)) for seed in seeds)
    gc.collect()
    gc.freeze()  # what is gone is looked for after each schedule, and not among all that the tests before have left
    with folder_in_memory() as folder:
        for schedules, seconds in ((short, None), (long, SECONDS / len(WORLDS) or None)):
            tried = search(world, schedules, Path(folder) / "place", seconds=seconds)
            assert tried.found is None, tried.found.report()
            assert tried.count
