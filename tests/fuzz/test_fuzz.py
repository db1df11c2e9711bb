"""A minute of the fuzzing: the same cases each time, so that what fails here failed before the commit."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.configuration import Writer, every_setting, stages
from tests.fuzz.place import Place
from tests.fuzz.run import run

CASES = 50


@pytest.mark.slow("it is a quarter of a minute of fuzzing")
@pytest.mark.parametrize("first", range(1, 4 * CASES, CASES))
def test_nothing_is_found(first: int) -> None:
    """Every event is delivered once, an error event, a dead letter, or counted; see `make fuzz` for more of it."""
    report = run(first, CASES, 600, progress=False)
    assert not report.findings, f"make fuzz ARGS='--seed {report.findings[0][0]} --cases 1': {report.findings[0][1]}"
    assert report.cases == CASES


@pytest.mark.slow("it writes hundreds of configurations")
def test_every_stage_and_setting_is_tried() -> None:
    """What is registered is written into configurations by itself, or stands in `LEFT_OUT` with a reason."""
    used: Counter[str] = Counter()
    for seed in range(800):
        place = Place(Random(seed), Path("/case"))
        Writer(place).write()
        used += place.used + place.stages
    names = [*every_setting(), *(f"{kind} {name}" for kind, name in stages())]
    missing = [name for name in names if not used[name]]
    assert not missing
