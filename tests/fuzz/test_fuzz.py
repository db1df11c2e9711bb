"""A minute of the fuzzing: the same cases each time, so that what fails here failed before the commit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.configuration import Writer, every_setting, stages
from tests.fuzz.decoders import DECODERS
from tests.fuzz.decoding import NAMES, damaged
from tests.fuzz.place import Place
from tests.fuzz.run import run

CASES = 50
MORE = pytest.mark.long("it is three quarters of a minute of fuzzing")

NEWCOMER = """
import asyncio
from logpipe import EventBatch, Filter, Formatter, Input, Options, Output, Parser, param

class NewOptions(Options):
    is_new: bool = param("Whether it is new.")

class NewInput(Input[NewOptions], type="newcomer"):
    async def run(self):
        await self.host.emit(EventBatch("in.new", [0], [{"k": "new"}]))
        await asyncio.Event().wait()

class NewFilter(Filter[NewOptions], type="newcomer"):
    def filter(self, tag, time, record):
        return record

class NewOutput(Output[NewOptions], type="newcomer"):
    async def process(self, batch):
        for record in batch.records:
            print(record, flush=True)

class NewParser(Parser[NewOptions], type="newcomer"):
    def parse(self, line):
        return [(self.host.clock.now(), {"message": line})]

class NewFormatter(Formatter[NewOptions], type="newcomer"):
    def format(self, tag, time, record):
        return repr(record).encode() + b"\\n"
"""
"""A module whose stages are new to the fuzzing."""


@pytest.mark.slow("it is a quarter of a minute of fuzzing")
@pytest.mark.parametrize(
    "first", [1, *(pytest.param(first, marks=MORE) for first in range(1 + CASES, 4 * CASES, CASES))]
)
def test_nothing_is_found(first: int) -> None:
    """Every event is delivered once, an error event, a dead letter, or counted; see `make fuzz` for more of it."""
    report = run(first, CASES, 600, progress=False)
    assert not report.findings, f"make fuzz ARGS='--seed {report.findings[0][0]} --cases 1': {report.findings[0][1]}"
    assert report.cases == CASES


@pytest.mark.parametrize("name", NAMES)
def test_decoders_of_what_comes_from_the_network(name: str) -> None:
    """Some damaged bytes, the same each time: `make fuzz ARGS="--decoders"` has them led by what they reach."""
    decoder = DECODERS[name]
    for data in (*decoder.seeds, *islice(damaged(decoder.seeds, Random(1)), 200)):
        decoder.check(data)


@pytest.mark.long("it writes hundreds of configurations")
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


@pytest.mark.long("it runs cases until each of five new stages has had a turn, a dozen at a time")
def test_a_stage_that_becomes_registered_joins_by_itself(tmp_path: Path) -> None:
    """An installed distribution's stages and their settings are written, and events go through them."""
    kinds = ("input", "filter", "output", "parser", "formatter")
    (tmp_path / "newcomer.py").write_text(NEWCOMER)
    metadata = tmp_path / "newcomer-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: newcomer\nVersion: 1\n")
    points = (f"[logpipe.{kind}]\nnewcomer = newcomer:New{kind.title()}\n" for kind in kinds)
    (metadata / "entry_points.txt").write_text("\n".join(points))
    wanted = {line for kind in kinds for line in (f"events through {kind} newcomer", f"times {kind} newcomer.is_new")}
    for seed in range(1, 100, 12):
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", "--seed", str(seed), "--cases", "12", "--types", "newcomer"],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        wanted -= {line for line in wanted if re.search(rf"^ +[1-9][\d,]* {line}$", done.stdout, re.MULTILINE)}
        if not wanted:
            break
    assert not wanted, done.stdout
