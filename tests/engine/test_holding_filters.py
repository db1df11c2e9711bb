"""Filters that hold events back: what they forward, in which order, who settles it, and what the ledger says."""

from __future__ import annotations

import asyncio

import pytest

from logpipe import BufferFull, EventBatch, Receipt, Record
from logpipe.testing import ManualClock, check_plugin, pipeline, settle
from tests.engine.holding import PLUGINS, Hold, HoldQuietly, Mark, Slow, route
from tests.engine.planted import NINE, OWN_LOG, gaps


async def test_it_goes_on_behind_the_filter_by_the_rules_of_its_tag() -> None:
    """What stands before the filter does not see it again, and what stands behind it does, for the tag it has now."""
    text = (
        f"{OWN_LOG}<filter a>\n@type mark\ntag before\n</filter>\n<filter a>\n@type hold\ntag b\n</filter>\n"
        "<filter a>\n@type mark\ntag not_b\n</filter>\n<filter b>\n@type mark\ntag after\n</filter>\n"
        "<match a>\n@type test\nname a\n</match>\n<match b>\n@type test\nname b\n</match>\n"
    )
    async with pipeline(text, *PLUGINS) as running:
        await running.feed("a", {"say": "held"}, {"say": "go on"})
        assert running.records(name="a") == [{"say": "go on", "before": 1, "not_b": 1}]
        await running.plugin(Hold).let_go()
        assert running.records(name="b") == [{"say": "held", "before": 1, "after": 1}]


async def test_its_place_among_what_has_its_tag() -> None:
    """While a forward is refused, nothing of its tag gets past the filter, in whatever order it came; others do."""
    clock = ManualClock()
    async with pipeline(route("hold"), *PLUGINS, clock=clock) as running:
        hold, collector = running.plugin(Hold), running.collector()
        await running.feed("a", {"say": "held", "name": 1})
        collector.refuse = BufferFull("no room")
        async with asyncio.TaskGroup() as group:
            group.create_task(hold.let_go())
            await settle()
            collector.refuse = None
            later = [group.create_task(running.feed("a", {"name": name})) for name in (2, 3)]
            await running.feed("b", {"name": "other"})
            await settle()
            assert [record["name"] for record in running.records()] == ["other"]
            assert not any(task.done() for task in later)
            await clock.advance(0.5)
        assert [record["name"] for record in running.records()] == ["other", 1, 2, 3]
        assert sum("are sent again" in text for text in running.log.texts("warning")) == 1
        assert "what got past this filter is accepted again" in running.log.texts("info")


async def test_a_forward_overtakes_nothing() -> None:
    """What got past the filter before is accepted before it, and what comes after it waits for it."""
    Slow.waits = {"first": asyncio.Event()}
    async with pipeline(route("hold", behind="<filter **>\n@type slow\n</filter>\n"), *PLUGINS) as running:
        hold = running.plugin(Hold)
        await running.feed("a", {"say": "held", "name": "second"})
        async with asyncio.TaskGroup() as group:
            group.create_task(running.feed("a", {"name": "first"}))
            await settle()
            group.create_task(hold.let_go())
            await settle()
            group.create_task(running.feed("a", {"name": "third"}))
            await settle()
            assert running.records() == []
            Slow.waits["first"].set()
        assert [record["name"] for record in running.records()] == ["first", "second", "third"]


async def test_what_it_returns_goes_side_by_side() -> None:
    """Batches of a tag wait for forwards, and not for one another."""
    Slow.waits = {"first": asyncio.Event()}
    async with pipeline(route("hold", behind="<filter **>\n@type slow\n</filter>\n"), *PLUGINS) as running:
        async with asyncio.TaskGroup() as group:
            group.create_task(running.feed("a", {"name": "first"}))
            await settle()
            await running.feed("a", {"name": "second"})
            Slow.waits["first"].set()
        assert [record["name"] for record in running.records()] == ["second", "first"]
        assert running.graph.routers["@ROOT"]._gates["h"]._orders == {}
        assert not any("accepted again" in text for text in running.log.texts())


async def test_what_no_error_label_takes_is_sent_again() -> None:
    """Whatever an output raises: an input would read it again, too."""
    clock = ManualClock()
    async with pipeline(route("hold"), *PLUGINS, clock=clock) as running:
        await running.feed("a", {"say": "held"})
        running.collector().refuse = ValueError("never")
        async with asyncio.TaskGroup() as group:
            group.create_task(running.plugin(Hold).let_go())
            await settle()
            running.collector().refuse = None
            await clock.advance(0.5)
        assert [record["say"] for record in running.records()] == ["held"]


async def test_what_it_returns_is_sent_again_and_not_made_again() -> None:
    """Its input waits: to read again would be to give the filter what it has kept a part of once more."""
    clock = ManualClock()
    settled: list[bool] = []
    receipt = Receipt(lambda: settled.append(True))
    async with pipeline(route("hold"), *PLUGINS, clock=clock) as running:
        hold, collector = running.plugin(Hold), running.collector()
        collector.refuse = BufferFull("no room")
        async with asyncio.TaskGroup() as group:
            feeding = group.create_task(running.feed("a", {"say": "held"}, {"say": "x"}, receipt=receipt))
            await settle()
            for seconds in (0.5, 1.0, 2.0):
                await clock.advance(seconds)
            assert not feeding.done()
            collector.refuse = None
            await clock.advance(4.0)
            await feeding
        assert (hold.processed, hold.held()) == (2, 1)
        # records that filters behind it change in place are not changed twice
        assert running.records() == [{"say": "x", "m1": 1, "m2": 1}]
        receipt.release()
        assert not settled
        await hold.let_go()
        assert settled == [True]
    (line,) = [line for line in running.graph.ledger().routes if line.name == "@ROOT"]
    assert (line.emitted, line.passed, line.refused) == (2 + 4, 2, 4)


async def test_the_ledger_counts_what_is_held() -> None:
    """It is neither lost nor dropped while it waits, and passed when it was forwarded."""
    async with pipeline(route("hold"), *PLUGINS) as running:
        await running.feed("a", *NINE, {"say": "held"}, {"say": "held"})
        (line,) = [line for line in running.graph.ledger().routes if line.name == "@ROOT"]
        assert (line.passed, dict(line.held), dict(line.lost), line.unexplained) == (9, {"h": 2}, {}, 0)
        assert running.metric("held_records") == 2
        assert running.graph.ledger().document()["sums"]["held"] == 2
    (line,) = [line for line in running.graph.ledger().routes if line.name == "@ROOT"]
    assert (line.passed, dict(line.held)) == (11, {})


async def test_what_it_does_not_say_it_holds_is_lost() -> None:
    """The ledger takes nobody's word for what is missing."""
    text = f"{OWN_LOG}<filter a>\n@type hold_quietly\n@id h\n</filter>\n<match a>\n@type test\n</match>\n"
    async with pipeline(text, HoldQuietly, expect_gaps=True) as running:
        await running.feed("a", *NINE, {"say": "held"})
        running.plugin(HoldQuietly).kept.clear()
    assert gaps(running) == ["lost in filter h: 1"]


async def test_what_is_held_at_the_end_stays_owed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not forwarded in time its receipt does not settle, and the ledger says that it is held."""

    async def wait_for_ever(_self: Hold) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Hold, "drain", wait_for_ever)
    receipt = Receipt(lambda: pytest.fail("it was settled"))
    text = f"<system>\nshutdown_timeout 0.3\n</system>\n{route('hold')}"
    async with pipeline(text, *PLUGINS) as running:
        await running.feed("a", {"say": "held"}, receipt=receipt)
        receipt.release()
    (line,) = [line for line in running.graph.ledger().routes if line.name == "@ROOT"]
    assert (dict(line.held), receipt.holds) == ({"h": 1}, 1)
    assert running.log.texts("error") == []


async def test_who_holds_nothing_back_forwards_nothing() -> None:
    """Its events would overtake others: it is told what to write."""
    async with pipeline(route("hold"), *PLUGINS) as running:
        with pytest.raises(RuntimeError, match="write its methods held and drain"):
            await running.plugin(Mark).host.forward(EventBatch("a", [0], [{}]))


def test_a_filter_says_both() -> None:
    """Who drains says how much it holds, and the other way round."""
    with pytest.raises(TypeError, match="write both def held and async def drain"):
        type("Half", (Mark,), {"held": lambda _self: 1})


def test_a_joint_receipt_settles_what_it_was_made_of() -> None:
    """Each of its parts was held once for it; what was in `@ERROR` still has been."""
    settled: list[str] = []
    one, two = Receipt(lambda: settled.append("one")), Receipt(lambda: settled.append("two"), came_through_error=True)
    for each in (one, two, two):
        each.hold()
    joint = Receipt.joint([one, None, two, two])
    one.release()
    two.release()
    assert joint is not None
    assert joint.came_through_error
    joint.hold()
    joint.release()
    assert settled == []
    joint.release()
    assert sorted(settled) == ["one", "two"]
    assert Receipt.joint([None]) is None


async def _lose(self: Hold) -> None:
    self.kept.clear()


async def _backwards(self: Hold) -> None:
    while self.kept:
        await self.host.forward(self.kept.pop())


async def _keep_one(self: Hold) -> None:
    while len(self.kept) > 1:
        await self.host.forward(self.kept.pop(0))


async def _keep_receipts(self: Hold) -> None:
    for batch in self.kept:
        batch.receipt = None
    await self.let_go()


@pytest.mark.parametrize(
    ("drain", "said"),
    [
        (_lose, "still holds 3 receipts"),
        (_backwards, "changes the order"),
        (_keep_one, "still holds 1 events"),
        (_keep_receipts, "still holds 3 receipts"),
    ],
)
async def test_the_contract_sees_what_is_wrong(drain: object, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was held comes out when drained, in order, with its receipts."""
    records: list[Record] = [{"n": 0}, {"n": 1}, {"say": "held"}, {"say": "held"}, {"say": "held"}]
    await check_plugin(Hold, records=records)
    monkeypatch.setattr(Hold, "drain", drain)
    with pytest.raises(AssertionError, match=said):
        await check_plugin(Hold, records=records)
