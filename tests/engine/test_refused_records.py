"""What an output refuses for good: one way for single records and whole chunks, and nothing delivered twice."""

from __future__ import annotations

from typing import Any

import pytest

from logpipe import Chunk, EventBatch, Host, Options, Output, PermanentError, RefusedRecords
from logpipe.testing import Pipeline, pipeline

QUIET = "<label @FLUENT_LOG>\n<match **>\n@type test\nname quiet\n</match>\n</label>\n"
ERROR = "<label @ERROR>\n<match **>\n@type test\n</match>\n</label>\n"


class Bulk(Output[Options], type="bulk"):
    """Writes record by record; says how far it came, and refuses some."""

    def __init__(self, options: Options, host: Host) -> None:
        super().__init__(options, host)
        self.how = ""
        self.error: type[Exception] = PermanentError
        self.bad: set[int] = set()
        self.written: list[int] = []
        self.writes = 0

    async def write(self, chunk: Chunk) -> None:
        self.writes += 1
        numbers = self.numbers(chunk)
        if self.how == "named":
            self.written += [n for n in numbers if n not in self.bad]
            if refused := {place: f"{n} is bad" for place, n in enumerate(numbers) if n in self.bad}:
                raise RefusedRecords(refused)
            return
        if self.how == "whole" and self.bad & set(numbers):
            raise PermanentError("bad")
        for place, n in enumerate(numbers):
            if self._is_done(chunk, place):
                continue
            if n in self.bad:
                raise self.error(f"{n} is bad")
            self.written.append(n)
            self._remember(chunk, place)

    def _is_done(self, chunk: Chunk, place: int) -> bool:
        done = chunk.progress
        return done is not None and (
            place < done if isinstance(done, int) else done[place] if isinstance(done, list) else place in done
        )

    def _remember(self, chunk: Chunk, place: int) -> None:
        if self.how == "count":
            chunk.progress = place + 1
        elif self.how == "flags":
            chunk.progress = chunk.progress or [False] * len(chunk)
            chunk.progress[place] = True
        elif self.how == "set":
            chunk.progress = {*(chunk.progress or ()), place}

    def numbers(self, chunk: Chunk) -> list[int]:
        """Return what is in a chunk."""
        return [record["n"] for batch in chunk.batches() for record in batch.records]


class PayloadBulk(Bulk, type="payload_bulk"):
    """The same for payloads."""

    def encode(self, batch: EventBatch) -> list[bytes]:
        return [b"%d" % record["n"] for record in batch.records]

    def numbers(self, chunk: Chunk) -> list[int]:
        return [int(payload) for payload in chunk.payloads()]


class Second(Bulk, type="second"):
    """A secondary."""


def conf(type_: str = "bulk", more: str = "", buffer: str = "") -> str:
    """Return a configuration."""
    section = f"<buffer>\nflush_interval 0.05\nretry_wait 0.01\n{buffer}\n</buffer>"
    return f"<match t>\n@type {type_}\n{section}\n{more}\n</match>\n{QUIET}"


async def feed(running: Pipeline, count: int, *, bad: set[int], how: str = "") -> Bulk:
    """Feed records and wait until the buffer is empty."""
    out: Bulk = running.plugin(Bulk)
    out.bad, out.how = bad, how
    for start in range(0, count, 3):
        await running.feed("t", *({"n": n} for n in range(start, min(count, start + 3))))
    await running.wait_for(lambda: running.graph.outlets[0].staging.waiting == 0)
    return out


def lettered(running: Pipeline) -> list[Any]:
    """Return the numbers in the dead letters."""
    return [letter.record["n"] if letter.record else int(letter.payload or b"-1") for letter in running.dead_letters()]


@pytest.mark.parametrize("count", [1, 2, 10])
@pytest.mark.parametrize("how", ["whole", "named", "count"])
async def test_refused_records_go_to_the_error_label(count: int, how: str) -> None:
    """Alone in their chunk or not, and whoever found them."""
    async with pipeline(conf() + ERROR, Bulk) as running:
        out = await feed(running, count, bad={0}, how=how)
        await running.wait_for(lambda: running.records("t"))
        assert running.records("t") == [{"n": 0}]
        assert sorted(out.written) == list(range(1, count))
        assert running.dead_letters() == []


async def test_a_chunk_of_nothing_but_refused_records_goes_there_too() -> None:
    """Every event of it."""
    async with pipeline(conf() + ERROR, Bulk) as running:
        await feed(running, 100, bad=set(range(100)), how="whole")
        await running.wait_for(lambda: len(running.records("t")) == 100)
        assert running.dead_letters() == []


@pytest.mark.parametrize("type_", ["bulk", "payload_bulk"])
@pytest.mark.parametrize("count", [1, 10])
async def test_without_the_label_they_are_dead_letters(type_: str, count: int) -> None:
    """Each once, with the reason."""
    async with pipeline(conf(type_), Bulk, PayloadBulk) as running:
        await feed(running, count, bad={0}, how="named")
        await running.wait_for(running.dead_letters)
        (letter,) = running.dead_letters()
        assert letter.reason == "0 is bad"
        assert lettered(running) == [0]


async def test_encoded_records_are_dead_letters_beside_the_label() -> None:
    """What an output has encoded is no event any more."""
    async with pipeline(conf("payload_bulk") + ERROR, PayloadBulk) as running:
        out = await feed(running, 10, bad={3, 7}, how="named")
        await running.wait_for(lambda: len(running.dead_letters()) == 2)
        assert sorted(lettered(running)) == [3, 7]
        assert running.records("t") == []
        assert sorted(out.written) == [0, 1, 2, 4, 5, 6, 8, 9]


@pytest.mark.parametrize("type_", ["bulk", "payload_bulk"])
async def test_records_that_the_output_names_cost_no_other_write(type_: str) -> None:
    """One write, and each reason with its record."""
    async with pipeline(conf(type_), Bulk, PayloadBulk) as running:
        out = await feed(running, 200, bad={5, 77, 199}, how="named")
        await running.wait_for(lambda: len(running.dead_letters()) == 3)
        assert out.writes == 1
        assert sorted(letter.reason for letter in running.dead_letters()) == ["199 is bad", "5 is bad", "77 is bad"]
        assert sorted(out.written) == [n for n in range(200) if n not in {5, 77, 199}]


@pytest.mark.parametrize("type_", ["bulk", "payload_bulk"])
@pytest.mark.parametrize("how", ["count", "flags", "set"])
async def test_progress_survives_the_division(type_: str, how: str) -> None:
    """What was delivered before the chunk was refused is not delivered again."""
    async with pipeline(conf(type_), Bulk, PayloadBulk) as running:
        out = await feed(running, 20, bad={3, 11}, how=how)
        await running.wait_for(lambda: len(running.dead_letters()) == 2)
        assert sorted(out.written) == [n for n in range(20) if n not in {3, 11}]
        assert sorted(lettered(running)) == [3, 11]


@pytest.mark.parametrize("type_", ["bulk", "payload_bulk"])
@pytest.mark.parametrize("how", ["count", "flags", "set"])
async def test_what_is_delivered_of_a_chunk_that_is_given_up_is_no_dead_letter(type_: str, how: str) -> None:
    """As far as the output has said so, in whichever way it does."""
    async with pipeline(conf(type_, buffer="retry_max_times 1"), Bulk, PayloadBulk) as running:
        out: Bulk = running.plugin(Bulk)
        out.bad, out.how, out.error = {3}, how, OSError
        await running.feed("t", *({"n": n} for n in range(6)))
        await running.wait_for(lambda: running.graph.outlets[0].staging.waiting == 0)
        assert out.written == [0, 1, 2]
        assert lettered(running) == [3, 4, 5]


async def test_a_secondary_gets_those_that_are_named() -> None:
    """And none that the output has delivered."""
    more = "<secondary>\n@type second\n</secondary>"
    async with pipeline(conf(more=more), Bulk, Second) as running:
        out = await feed(running, 10, bad={4}, how="named")
        second: Second = running.plugin(Second)
        await running.wait_for(lambda: second.written)
        assert second.written == [4]
        assert 4 not in out.written
