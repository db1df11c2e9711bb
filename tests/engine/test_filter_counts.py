"""What a filter speaks for, and what it loses, doubles or invents: the ledger tells them apart."""

from __future__ import annotations

import pytest

from logpipe import (
    AsyncFilter,
    EventBatch,
    Filter,
    Options,
    Output,
    Record,
    Time,
)
from logpipe.testing import check_plugin, pipeline
from tests.engine.planted import FAULTS, NINE, OWN_LOG, Faulty, HowOptions, gaps, planted


class FaultyAsync(AsyncFilter[HowOptions], type="faulty_async"):
    """Does it in a `process` that may wait."""

    async def process(self, batch: EventBatch) -> EventBatch:
        return planted(batch, self.options.how)


class Honest(Filter[HowOptions], type="honest"):
    """Does the same, and says so."""

    def process(self, batch: EventBatch) -> EventBatch:
        out = planted(batch, self.options.how)
        if len(out) < len(batch):
            self.host.dropped(len(batch) - len(out))
        else:
            self.host.made(len(out) - len(batch))
        return out


class Odd(Filter[Options], type="odd"):
    """Keeps by a mask what is even, but for 3, which is an error."""

    def process(self, batch: EventBatch) -> EventBatch:
        for time, record in batch.events():
            if record["n"] == 3:
                self.host.emit_error(batch.tag, time, record, ValueError("three"), receipt=batch.receipt)
        return batch.keep([record["n"] % 2 == 0 for record in batch.records], errors=1)


class Raising(Filter[Options], type="raising"):
    """Speaks for some events before it fails on their batch."""

    def process(self, batch: EventBatch) -> EventBatch:
        batch.keep([record["n"] < 7 for record in batch.records])
        self.host.dropped(1)
        self.host.emit_error(batch.tag, 0, dict(batch.records[0]), ValueError("the first"))
        raise RuntimeError("and all the others")


class RaisingMade(Filter[Options], type="raising_made"):
    """Makes two events before it fails on their batch."""

    def process(self, batch: EventBatch) -> EventBatch:
        self.host.made(2)
        raise RuntimeError(f"{len(batch)} events")


class Hungry(Filter[Options], type="hungry"):
    """Cannot handle the first event, and has no memory for the fourth."""

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        if record["n"] == 0:
            raise ValueError(f"{tag} at {time}")
        if record["n"] == 3:
            raise MemoryError
        return record


class OddAsync(AsyncFilter[Options], type="odd_async"):
    """Keeps by a mask what is even."""

    async def process(self, batch: EventBatch) -> EventBatch:
        return batch.keep([record["n"] % 2 == 0 for record in batch.records])


class RaisingAsync(AsyncFilter[Options], type="raising_async"):
    """Keeps some events before it fails on their batch."""

    async def process(self, batch: EventBatch) -> EventBatch:
        batch.keep([record["n"] < 7 for record in batch.records])
        raise RuntimeError("all")


class Choosy(Output[Options], type="choosy"):
    """Takes what is even, and throws the rest away as its settings would say."""

    async def process(self, batch: EventBatch) -> None:
        even = batch.keep([record["n"] % 2 == 0 for record in batch.records])
        self.host.dropped(len(batch) - len(even))


PLUGINS = (Faulty, FaultyAsync, Honest, Odd, Raising, RaisingMade, Hungry, OddAsync, RaisingAsync, Choosy)


@pytest.mark.parametrize("kind", ["faulty", "faulty_async"])
@pytest.mark.parametrize(("how", "said"), FAULTS)
async def test_a_filter_that_returns_others_than_it_was_given(kind: str, how: str, said: str) -> None:
    """It is named, with the number, and what else happens in the route is still told apart."""
    first, second = (
        f"<filter a>\n@type {each}\n@id {name}\n{more}</filter>\n"
        for each, name, more in (
            ("grep", "g", "<exclude>\nkey n\npattern /7/\n</exclude>\n"),
            (kind, "p", f"how {how}\n"),
        )
    )
    text = f"{OWN_LOG}{second}{first}<match a>\n@type test\n</match>\n"
    async with pipeline(text, *PLUGINS, expect_gaps=True) as running:
        await running.feed("a", *NINE)
    assert gaps(running) == [said.format("in filter p")]
    (line,) = [line for line in running.graph.ledger().routes if line.name == "@ROOT"]
    assert (dict(line.filtered)["g"], dict(line.errors)["g"]) == (0 if how == "loses" else 1, 0)
    assert line.passed == len(running.records())


@pytest.mark.parametrize("how", ["loses", "doubles", "invents"])
async def test_a_filter_that_says_what_it_does(how: str) -> None:
    """It is dropped, or made, and nothing is lost."""
    text = f"{OWN_LOG}<filter a>\n@type honest\n@id p\nhow {how}\n</filter>\n<match a>\n@type test\n</match>\n"
    async with pipeline(text, *PLUGINS) as running:
        await running.feed("a", *NINE)
    (line,) = [line for line in running.graph.ledger().routes if line.name == "@ROOT"]
    assert (dict(line.filtered), dict(line.lost)) == ({"p": 9 - len(running.records())}, {})


async def test_a_mask_tells_what_is_dropped() -> None:
    """`keep` counts it, but for what the filter says are errors."""
    text = f"{OWN_LOG}<filter a>\n@type odd\n@id p\n</filter>\n<match a>\n@type test\n</match>\n"
    async with pipeline(text, *PLUGINS) as running:
        await running.feed("a", *NINE)
    (line,) = [line for line in running.graph.ledger().routes if line.name == "@ROOT"]
    assert (dict(line.filtered), dict(line.errors), line.passed) == ({"p": 3}, {"p": 1}, 5)


@pytest.mark.parametrize(("kind", "errors"), [("raising", 10), ("raising_made", 9), ("raising_async", 9)])
async def test_a_filter_that_fails_after_it_has_spoken(kind: str, errors: int) -> None:
    """All of the batch are errors, whatever it had said of some."""
    text = f"{OWN_LOG}<filter a>\n@type {kind}\n@id p\n</filter>\n<match a>\n@type test\n</match>\n"
    async with pipeline(text, *PLUGINS) as running:
        await running.feed("a", *NINE)
    (line,) = [line for line in running.graph.ledger().routes if line.name == "@ROOT"]
    assert (dict(line.errors), dict(line.filtered), line.passed) == ({"p": errors}, {"p": 9 - errors}, 0)


async def test_a_mask_of_a_filter_that_waits() -> None:
    """The same, where batches may overlap."""
    text = f"{OWN_LOG}<filter a>\n@type odd_async\n@id p\n</filter>\n<match a>\n@type test\n</match>\n"
    async with pipeline(text, *PLUGINS) as running:
        await running.feed("a", *NINE)
    (line,) = [line for line in running.graph.ledger().routes if line.name == "@ROOT"]
    assert (dict(line.filtered), line.passed) == ({"p": 4}, 5)


async def test_an_error_of_a_batch_that_is_made_again() -> None:
    """The event is an error now and comes again: there are two of it."""
    text = f"{OWN_LOG}<filter a>\n@type hungry\n@id p\n</filter>\n<match a>\n@type test\n</match>\n"
    async with pipeline(text, *PLUGINS) as running:
        with pytest.raises(MemoryError):
            await running.feed("a", *NINE)
    (line,) = [line for line in running.graph.ledger().routes if line.name == "@ROOT"]
    assert (dict(line.errors), line.refused, line.passed) == ({"p": 1}, 9, 0)


async def test_what_an_output_throws_away_is_its_own() -> None:
    """A mask of an output is not counted as the filter's before it, and what the output says is in its line."""
    text = f"{OWN_LOG}<filter a>\n@type grep\n@id g\n</filter>\n<match a>\n@type choosy\n@id c\n</match>\n"
    async with pipeline(text, *PLUGINS) as running:
        await running.feed("a", *NINE)
    ledger = running.graph.ledger()
    (line,) = [line for line in ledger.outputs if line.plugin_id == "c"]
    assert (line.taken, line.dropped, line.delivered) == (9, 4, 5)
    assert [dict(line.filtered) for line in ledger.routes if line.name == "@ROOT"] == [{"g": 0}]


@pytest.mark.parametrize(("how", "said"), [("loses", "3 of 9 events are lost in Faulty"), ("doubles", "2 events more")])
async def test_check_plugin_refuses_what_says_nothing(how: str, said: str) -> None:
    """A third party hears of it from the contract."""
    with pytest.raises(AssertionError, match=said):
        await check_plugin(Faulty, f"how {how}")
    await check_plugin(Honest, f"how {how}")
