"""What is planted in the tests of the ledger: stages that lose, double or invent events, and what it says of them."""

from __future__ import annotations

from logpipe import (
    Chunk,
    EventBatch,
    Filter,
    Options,
    Output,
    param,
)
from logpipe.testing import Pipeline

OWN_LOG = "<label @FLUENT_LOG>\n<match **>\n@type test\nname own\n</match>\n</label>\n"
NINE = [{"n": n} for n in range(9)]


def some(batch: EventBatch, numbers: list[int]) -> EventBatch:
    """Return a batch of the events of these numbers, made by hand."""
    return EventBatch(
        batch.tag, [batch.times[n] for n in numbers], [dict(batch.records[n]) for n in numbers], batch.receipt
    )


def planted(batch: EventBatch, how: str) -> EventBatch:
    """Return a batch of nine as a stage would that loses three, doubles two, or adds one."""
    numbers = {"loses": [0, 1, 2, 3, 4, 5], "doubles": [0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8], "invents": [*range(9)]}[how]
    out = some(batch, numbers if len(batch) == 9 else [*range(len(batch))])
    if how == "invents" and len(batch) == 9:
        out.times.append(0)
        out.records.append({"n": 99})
    return out


class HowOptions(Options):
    """Settings of the stages below."""

    how: str = param("What it does.")


class Faulty(Filter[HowOptions], type="faulty"):
    """Does it in `process`."""

    def process(self, batch: EventBatch) -> EventBatch:
        return planted(batch, self.options.how)


class Written(Output[Options], type="written"):
    """Takes chunks."""

    async def write(self, chunk: Chunk) -> None:
        for batch in chunk.batches():
            assert len(batch)


FAULTS = [("loses", "lost {}: 3"), ("doubles", "made {}: 2"), ("invents", "made {}: 1")]
"""What is planted, and what the ledger says, but for the place."""


def gaps(running: Pipeline) -> list[str]:
    """Return what the ledger says is missing or too much; the warning of the log says the same."""
    ledger = running.graph.ledger()
    found = ledger.gaps()
    assert ledger.document()["gaps"] == found
    said = [text for level, text in running.log.messages if level == "warning" and "does not add up" in text]
    assert said == [f"the ledger does not add up: {'; '.join(found)}: please report it with the lines above"]
    assert ledger.unexplained != 0
    return found
