"""`<worker>` sections that are for nobody, and what the graph of a worker holds."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from logpipe import ConfigError, EventBatch, Input, Options, Output
from logpipe.config.diagnostic import Diagnostic
from logpipe.engine.running.graph import Graph
from logpipe.registry import Registry
from logpipe.testing import parse, pipeline

SYSTEM = "<system>\n  workers 4\n</system>\n"
OUTPUT = "<match **>\n  @type null\n</match>\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "<worker>\n</worker>\n",
            "test.conf:4:1: error: <worker>: a worker's number is missing"
            " (write <worker 0> or <worker 0-3>) [invalid-worker]",
        ),
        (
            "<worker 4>\n</worker>\n",
            "test.conf:4:9: error: <worker 4>: there are 4 workers, 0 to 3 (write workers 5 in <system>)"
            " [invalid-worker]",
        ),
        (
            "<worker 3-1>\n</worker>\n",
            "test.conf:4:9: error: <worker 3-1>: the first worker is greater than the last"
            " (write <worker SMALLER-GREATER>) [invalid-worker]",
        ),
        (
            "<worker 0-2>\n</worker>\n<worker 2-3>\n</worker>\n",
            "test.conf:6:9: error: <worker 2-3>: <worker 0-2> at test.conf:4:1 is for the same worker"
            " (give each range workers of its own) [invalid-worker]",
        ),
        (
            "<worker 0>\n  <system>\n  </system>\n</worker>\n",
            "test.conf:5:3: error: <worker 0>: <system> cannot stand in a <worker> section"
            " (move it out of the section) [invalid-worker]",
        ),
    ],
    ids=lambda text: "" if text.startswith("test.conf") else text.splitlines()[0],
)
async def test_a_section_for_nobody(text: str, expected: str) -> None:
    """Every worker section has a worker, and a range has it for itself."""
    with pytest.raises(ConfigError) as raised:
        async with pipeline(SYSTEM + text):
            pass

    assert str(raised.value) == expected


async def test_one_worker() -> None:
    """Without workers in <system> there is number 0 only."""
    with pytest.raises(ConfigError) as raised:
        async with pipeline(f"<worker 1>\n{OUTPUT}</worker>\n"):
            pass

    assert str(raised.value) == (
        "test.conf:1:9: error: <worker 1>: there is one worker, number 0 (write workers 2 in <system>) [invalid-worker]"
    )


async def test_what_is_no_number_is_worker_0() -> None:
    """Fluentd takes `<worker one>` for worker 0, and so do we."""
    async with pipeline(f"<worker one>\n{OUTPUT}</worker>\n") as running:
        assert len(running.graph.stages.outputs) == 1


TAIL = """<source>
  @type tail
  path /var/log/x
  pos_file /var/log/x.pos
  tag x
  <parse>
    @type none
  </parse>
</source>
"""


@pytest.mark.parametrize(
    ("text", "is_refused"),
    [
        (SYSTEM + TAIL, True),
        (TAIL, False),
        (f"{SYSTEM}<worker 1>\n{TAIL}</worker>\n", False),
        (f"{SYSTEM}<worker 2-2>\n{TAIL}</worker>\n", False),
        (f"{SYSTEM}<worker 1-2>\n{TAIL}</worker>\n", True),
        (SYSTEM + "<source>\n  @type sample\n  tag x\n</source>\n", False),
        (SYSTEM + "<source>\n  @type monitor_agent\n</source>\n", False),
        (SYSTEM + "<source>\n  @type shy\n</source>\n", True),
        (SYSTEM + "<match x>\n  @type copy\n  <store>\n    @type shy\n  </store>\n</match>\n", True),
    ],
    ids=["shared", "one", "in-worker", "in-worker-range", "in-two", "sample", "monitor", "third-party", "store"],
)
def test_what_several_workers_cannot_share_is_refused(text: str, *, is_refused: bool) -> None:
    """Each would read the same files: an error with its cure, as in fluentd, before anything has started."""

    class Shy(Input[Options], type="shy"):
        """Says nothing of workers."""

        async def run(self) -> None:
            """Bring nothing."""

    class ShyOutput(Output[Options], type="shy"):
        """Says that it is alone."""

        several_workers = False

        async def process(self, batch: EventBatch) -> None:
            """Take it."""

    registry = Registry()
    for cls in (Shy, ShyOutput):
        registry.add(cls, Path(__file__))
    found: list[Diagnostic] = []
    with suppress(ConfigError):
        for worker_id in range(3):
            Graph.build(parse(text + OUTPUT), registry=registry, report=found.append, worker_id=worker_id)
    refused = [str(each) for each in found if each.code == "several-workers"]
    assert bool(refused) == is_refused
    assert all("does not support several workers" in each and "(put it into a <worker 0>" in each for each in refused)
