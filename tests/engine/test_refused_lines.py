"""Batches of lines that something refuses: only the event to blame is decoded, and fails as one of records would."""

from __future__ import annotations

from typing import Any

import pytest

from logpipe import Chunk, EventBatch, Filter, Options, PermanentError
from logpipe.codec import Encoded, LineBatch
from logpipe.testing import pipeline
from tests.engine.test_line_batches import OWN_LOG, RECORDS, TIMES, Kept, Passer, emit, lines_of
from tests.event.lines import line_batch, of_lines


class Picky(Passer, type="picky"):
    """Refuses a chunk that one payload is in, until it is alone."""

    async def write(self, chunk: Chunk) -> None:
        payloads = list(chunk.payloads())
        if lines_of(5)[0] + b"\n" in payloads:
            raise PermanentError("not that one")
        self.payloads += payloads


class PickyOfEvents(Kept, type="picky_of_events"):
    """The same with events."""

    async def write(self, chunk: Chunk) -> None:
        found = list(chunk.batches())
        if any(line == lines_of(5)[0] for batch in found if isinstance(batch, LineBatch) for line in batch.lines()):
            raise PermanentError("not that one")
        self.batches += found


async def test_a_refused_chunk_of_lines_is_divided() -> None:
    """Only what is refused is decoded, for its letter."""
    text = f"<match **>\n@type picky_of_events\n<buffer>\n@type memory\n</buffer>\n</match>\n{OWN_LOG}"
    async with pipeline(text, PickyOfEvents) as running:
        await emit(running)
        await running.flush()
        assert running.plugin(PickyOfEvents).lines == lines_of(0, 1, 2, 3, 4, 6, 7)
        assert [letter.record for letter in running.dead_letters()] == [RECORDS[5]]


async def test_a_refused_chunk_of_payloads_is_divided() -> None:
    """Payloads in one piece are told apart."""
    text = f"<match **>\n@type picky\n<buffer>\n@type memory\n</buffer>\n</match>\n{OWN_LOG}"
    async with pipeline(text, Picky) as running:
        await emit(running)
        await running.flush()
        assert running.plugin(Picky).payloads == [line + b"\n" for line in lines_of(0, 1, 2, 3, 4, 6, 7)]
        assert [letter.payload for letter in running.dead_letters()] == [lines_of(5)[0] + b"\n"]


class Breaks(Filter[Options], type="breaks"):
    """Fails on every batch."""

    def process(self, batch: EventBatch) -> EventBatch:
        raise RuntimeError(f"broken for {len(batch)}")


async def test_a_filter_that_fails_before_it_reads() -> None:
    """Its events are letters with all their fields."""
    async with pipeline(
        f"<filter **>\n@type breaks\n</filter>\n<match **>\n@type null\n</match>\n{OWN_LOG}", Breaks
    ) as (running):
        done = await emit(running)
        await running.wait_for(lambda: done, "the letters to be written")
        assert [letter.record for letter in running.dead_letters()] == RECORDS


class Strict(Passer, type="strict"):
    """Encodes nothing at all where a line is odd."""

    def encode(self, batch: EventBatch) -> Encoded:
        assert isinstance(batch, LineBatch)
        if lines_of(5)[0] in batch.lines():
            raise ValueError("odd")
        return batch.encoded(b"\n")


async def test_what_cannot_be_encoded_is_the_exception() -> None:
    """All others are in their chunk; only that event is decoded."""
    async with pipeline(
        f"<match **>\n@type strict\n<buffer>\n@type memory\n</buffer>\n</match>\n{OWN_LOG}", Strict
    ) as (running):
        before = sum(LineBatch.asked.values())
        await emit(running)
        await running.flush()
        assert running.plugin(Strict).payloads == [line + b"\n" for line in lines_of(0, 1, 2, 3, 4, 6, 7)]
        assert [error[2] for error in running.errors] == [RECORDS[5]]
        assert sum(LineBatch.asked.values()) == before


@pytest.mark.parametrize("change", [lambda batch: batch.times.append(1), lambda batch: batch.times.clear()])
async def test_times_and_lines_that_do_not_fit(change: Any) -> None:
    """The batch is refused as one of records would be."""
    async with pipeline(f"<match **>\n@type null\n</match>\n{OWN_LOG}") as running:
        for batch in (line_batch(*RECORDS), EventBatch("t", [*TIMES], [dict(record) for record in RECORDS])):
            change(batch)
            with pytest.raises(ValueError, match="both must be as many"):
                await running.emit(batch)


class Uneven(Filter[Options], type="uneven"):
    """Returns a batch with one time too many."""

    def process(self, batch: EventBatch) -> EventBatch:
        batch.times.append(0)
        return batch


async def test_a_filter_that_returns_lines_that_do_not_fit() -> None:
    """It is told apart from the next stage, as with records."""
    async with pipeline(
        f"<filter **>\n@type uneven\n</filter>\n<match **>\n@type null\n</match>\n{OWN_LOG}", Uneven
    ) as (running):
        await running.emit(of_lines([b"{}"]))
        (error,) = {str(error[3]) for error in running.errors}
        assert "Uneven.process returned a batch of 2 times and 1 records" in error
