"""Records that an output refuses are found by dividing their chunk; the rest is delivered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logpipe import Chunk, EventBatch, Host, Options, Output, PermanentError, RefusedRecords
from logpipe.testing import Pipeline, pipeline

TEXT = """
<match **>
@type {type}
<buffer>
flush_mode {mode}
flush_interval 0.05
retry_wait 0.01
retry_max_times 3
</buffer>
{more}
</match>
<label @FLUENT_LOG>
<match **>
@type test
name own
</match>
</label>
"""


class Taster(Output[Options], type="taster"):
    """Refuses chunks that hold a record it does not like."""

    def __init__(self, options: Options, host: Host) -> None:
        super().__init__(options, host)
        self.bad: set[int] = set()
        self.error: Exception = PermanentError("bad taste")
        self.down_after: int | None = None
        self.names_from = 0
        self.sizes: list[int] = []
        self.weights: list[int] = []
        self.ids: list[str] = []
        self.taken: list[int] = []

    @property
    def writes(self) -> int:
        return len(self.sizes)

    async def write(self, chunk: Chunk) -> None:
        self.sizes.append(len(chunk))
        self.weights.append(chunk.size)
        self.ids.append(chunk.id)
        if self.down_after is not None and self.writes > self.down_after:
            self.down_after = None
            raise OSError("down")
        numbers = self.numbers(chunk)
        if self.bad & set(numbers):
            if len(numbers) <= self.names_from:
                self.taken += [n for n in numbers if n not in self.bad]
                raise RefusedRecords({place: f"{n} is bad" for place, n in enumerate(numbers) if n in self.bad})
            raise self.error
        assert len(numbers) == len(chunk)
        self.taken += numbers

    def numbers(self, chunk: Chunk) -> list[int]:
        return [record["n"] for batch in chunk.batches() for record in batch.records]


class PayloadTaster(Taster, type="payload_taster"):
    """Encodes on entry."""

    def encode(self, batch: EventBatch) -> list[bytes]:
        return [b"%d" % record["n"] for record in batch.records]

    def numbers(self, chunk: Chunk) -> list[int]:
        return [int(payload) for payload in chunk.payloads()]


class Second(Output[Options], type="second"):
    """Takes everything."""

    taken: Sequence[int] = ()

    async def write(self, chunk: Chunk) -> None:
        self.taken = [record["n"] for batch in chunk.batches() for record in batch.records]


async def run(running: Pipeline, numbers: list[int], *, bad: set[int], error: Exception | None = None) -> Taster:
    """Feed records in batches of seven and wait until none of them is in the buffer."""
    taster: Taster = running.plugin(Taster)
    taster.bad = bad
    taster.error = error or taster.error
    for start in range(0, len(numbers), 7):
        await running.feed("t", *({"n": n} for n in numbers[start : start + 7]))
    await running.wait_for(lambda: running.graph.outlets[0].staging.waiting == 0)
    return taster


def conf(type_: str = "taster", mode: str = "interval", more: str = "") -> str:
    """Return a configuration."""
    return TEXT.format(type=type_, mode=mode, more=more)


async def test_the_record_to_blame_is_found_and_the_rest_delivered() -> None:
    """It goes where errors of stages go, with the output's own words."""
    async with pipeline(conf(), Taster) as running:
        taster = await run(running, list(range(100)), bad={41})
        await running.wait_for(running.dead_letters)
    assert sorted(taster.taken) == [n for n in range(100) if n != 41]
    (letter,) = running.dead_letters()
    assert (letter.record, letter.tag, letter.reason) == ({"n": 41}, "t", "bad taste")
    assert (letter.error_class, letter.culprit.plugin_id) == ("PermanentError", "output_taster")
    assert taster.writes < 40


async def test_it_goes_to_the_error_label_where_there_is_one() -> None:
    """As every event does that a stage cannot handle."""
    text = conf() + "<label @ERROR>\n<match **>\n@type test\n</match>\n</label>\n"
    async with pipeline(text, Taster) as running:
        await run(running, list(range(20)), bad={3})
        await running.wait_for(lambda: running.records() == [{"n": 3}])
        assert running.dead_letters() == []


async def test_payloads_are_divided_too() -> None:
    """What is encoded becomes a dead letter as it is, with what its chunk had in common."""
    async with pipeline(conf("payload_taster"), PayloadTaster) as running:
        taster = await run(running, list(range(30)), bad={7, 8})
        await running.wait_for(lambda: len(running.dead_letters()) == 2)
    assert sorted(taster.taken) == [n for n in range(30) if n not in {7, 8}]
    assert [letter.payload for letter in running.dead_letters()] == [b"7", b"8"]


async def test_a_chunk_of_which_nothing_is_taken_is_not_taken_to_pieces() -> None:
    """An output that refuses everything is asked a few dozen times, and all records become dead letters together."""
    async with pipeline(conf(), Taster) as running:
        taster = await run(running, list(range(3000)), bad=set(range(3000)))
    assert taster.taken == []
    assert taster.writes < 50
    assert sorted(letter.record["n"] for letter in running.dead_letters() if letter.record) == list(range(3000))


async def test_an_odd_exception_is_the_records_fault_only_if_others_pass() -> None:
    """A ValueError at the second attempt starts the search, and one that every record raises follows the retries."""
    async with pipeline(conf(), Taster) as running:
        taster = await run(running, list(range(50)), bad={9}, error=ValueError("cannot write that"))
        await running.wait_for(running.dead_letters)
    assert sorted(taster.taken) == [n for n in range(50) if n != 9]
    assert [letter.record for letter in running.dead_letters()] == [{"n": 9}]

    for count in (50, 4):  # before all of them were tried by themselves, and after
        async with pipeline(conf(), Taster) as running:
            error = ValueError("cannot write anything")
            taster = await run(running, list(range(count)), bad=set(range(count)), error=error)
        assert running.metric("retry_count") == 4
        assert running.metric("given_up_records") == len(running.dead_letters()) == count


async def test_an_odd_exception_at_the_first_attempt_starts_no_search() -> None:
    """It may be the peer's, of a moment: the whole chunk is tried once more. A judgement is believed at once."""
    for error, sizes in ((ValueError("odd answer"), [8, 8, 4]), (PermanentError("bad taste"), [8, 4, 2])):
        async with pipeline(conf(), Taster) as running:
            taster: Taster = running.plugin(Taster)
            taster.bad, taster.error = {0}, error
            await running.feed("t", *({"n": n} for n in range(8)))
            await running.wait_for(running.dead_letters)
        assert taster.sizes[:3] == sizes
        assert {len(each) for each in taster.ids} == {32}, "those of parts are like those of chunks"
        assert [weight * 8 // taster.weights[0] for weight in taster.weights[:3]] == sizes


async def test_a_peer_that_goes_down_during_the_search() -> None:
    """The search goes on where it was, after the retry's wait: nothing is delivered twice."""
    async with pipeline(conf(), Taster) as running:
        running.plugin(Taster).down_after = 4
        taster = await run(running, list(range(64)), bad={10})
        await running.wait_for(running.dead_letters)
        assert running.metric("retry_count") >= 1
    assert sorted(taster.taken) == [n for n in range(64) if n != 10]
    assert [letter.record for letter in running.dead_letters()] == [{"n": 10}]


async def test_a_part_whose_bad_records_are_named_is_divided_no_further() -> None:
    """Whoever refuses a large request whole may say of a small one what is wrong with it."""
    async with pipeline(conf(), Taster) as running:
        taster: Taster = running.plugin(Taster)
        taster.bad, taster.names_from = {5, 6}, 4
        await running.feed("t", *({"n": n} for n in range(16)))
        await running.wait_for(lambda: len(running.dead_letters()) == 2 and len(taster.taken) == 14)
    assert sorted(taster.taken) == [n for n in range(16) if n not in {5, 6}]
    assert {letter.record["n"]: letter.reason for letter in running.dead_letters() if letter.record} == {
        5: "5 is bad",
        6: "6 is bad",
    }
    assert taster.sizes == [16, 8, 4, 4, 8]


async def test_a_secondary_gets_the_whole_chunk() -> None:
    """That is what it is for, in fluentd as well."""
    async with pipeline(conf(more="<secondary>\n@type second\n</secondary>"), Taster, Second) as running:
        running.plugin(Taster).bad = {3}
        await running.feed("t", *({"n": n} for n in range(10)))
        await running.wait_for(lambda: running.plugin(Second).taken)
        assert running.plugin(Second).taken == list(range(10))
        assert running.plugin(Taster).writes == 1


@pytest.mark.parametrize("type_", ["taster", "payload_taster"])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
async def test_any_set_of_bad_records_is_found(type_: str, data: Any) -> None:
    """Each good record is delivered once, each bad one is a dead letter once."""
    count = data.draw(st.integers(1, 80))
    bad = data.draw(st.sets(st.integers(0, count - 1), max_size=8))
    async with pipeline(conf(type_), Taster, PayloadTaster) as running:
        taster = await run(running, list(range(count)), bad=bad)
    letters = [letter.record["n"] if letter.record else int(letter.payload or b"") for letter in running.dead_letters()]
    assert sorted(taster.taken + letters) == list(range(count))
    assert set(letters) == bad or not taster.taken
