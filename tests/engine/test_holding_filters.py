"""Filters that hold events back: what they forward, in which order, who settles it, and what the ledger says."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest

from logpipe import (
    AsyncFilter,
    BufferFull,
    ConfigError,
    EventBatch,
    Filter,
    FilterHost,
    Options,
    Output,
    Receipt,
    Record,
    Time,
    param,
)
from logpipe.testing import ManualClock, check_plugin, pipeline, settle
from tests.engine.planted import NINE, OWN_LOG, gaps


class HoldOptions(Options):
    """Settings of the filters below."""

    hold: str = param("What a record must say to be held back.", default="held")
    tag: str = param("The tag that it is forwarded with; its own where this is empty.", default="")


class Hold(Filter[HoldOptions], type="hold"):
    """Keeps records that say so until `let_go` or the end."""

    def __init__(self, options: HoldOptions, host: object) -> None:
        super().__init__(options, host)  # type: ignore[arg-type]
        self.kept: list[EventBatch] = []
        self.processed = 0

    def process(self, batch: EventBatch) -> EventBatch:
        self.processed += len(batch)
        mask = [record.get("say") != self.options.hold for record in batch.records]
        for (time, record), passes in zip(batch.events(), mask, strict=True):
            if not passes:
                if batch.receipt is not None:
                    batch.receipt.hold()
                self.kept.append(EventBatch(self.options.tag or batch.tag, [time], [record], batch.receipt))
        passing = [event for event, passes in zip(batch.events(), mask, strict=True) if passes]
        times, records = [time for time, _ in passing], [record for _, record in passing]
        return EventBatch(batch.tag, times, records, batch.receipt)

    def held(self) -> int:
        return len(self.kept)

    async def let_go(self) -> None:
        while self.kept:
            await self.host.forward(self.kept.pop(0))

    async def drain(self) -> None:
        await self.let_go()


class HoldQuietly(Hold, type="hold_quietly"):
    """Does not say how much it holds."""

    def held(self) -> int:
        return 0


class Mark(Filter[HoldOptions], type="mark"):
    """Counts how often a record came by."""

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        del tag, time
        record[self.options.tag] = record.get(self.options.tag, 0) + 1
        return record


class Slow(AsyncFilter[Options], type="slow"):
    """Takes as long as it is told over batches that it has not seen yet."""

    waits: ClassVar[dict[str, asyncio.Event]] = {}

    async def process(self, batch: EventBatch) -> EventBatch:
        name = str(batch.records[0].get("name"))
        if name in self.waits:
            await self.waits[name].wait()
        return batch


PLUGINS = (Hold, HoldQuietly, Mark, Slow)


def route(holding: str, *, behind: str = "") -> str:
    """Return a configuration: a mark, the filter that holds back, another mark, a collector."""
    before, after = (f"<filter **>\n@type mark\n@id {name}\ntag {name}\n</filter>\n" for name in ("m1", "m2"))
    hold = f"<filter a b>\n@type {holding}\n@id h\n</filter>\n"
    return f"{OWN_LOG}{before}{hold}{after}{behind}<match **>\n@type test\n@id c\n</match>\n"


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


async def test_what_fails_again_after_error_is_a_dead_letter() -> None:
    """In `@ERROR` a forward is not sent again for ever: as anywhere, what fails there goes to a file."""
    text = (
        f"{OWN_LOG}<label @ERROR>\n<filter **>\n@type hold\n@id h\n</filter>\n<match **>\n@type test\n@id c\n</match>\n"
        "</label>\n<filter **>\n@type record_modifier\n<record>\nx ${raise}\n</record>\n</filter>\n"
    )
    async with pipeline(text, *PLUGINS) as running:
        running.collector().refuse = ValueError("never")
        await running.feed("a", {"say": "held"}, {"say": "x"})
        await running.wait_for(running.dead_letters, "what is returned")
        assert running.plugin(Hold).held() == 1
        await running.plugin(Hold).let_go()
        await running.wait_for(lambda: len(running.dead_letters()) == 2, "what is forwarded")


class Elsewhere(Hold, type="elsewhere"):
    """Sends what it has kept to a label."""

    def __init__(self, options: HoldOptions, host: FilterHost) -> None:
        super().__init__(options, host)
        self._send = host.emitter("@L")

    async def let_go(self) -> None:
        while self.kept:
            await self._send(self.kept.pop(0))


ELSEWHERE = (
    f"{OWN_LOG}<filter **>\n@type elsewhere\n@id h\n</filter>\n<match **>\n@type test\n</match>\n"
    "<label @L>\n<filter **>\n@type mark\ntag seen\n</filter>\n<match **>\n@type test\nname l\n</match>\n</label>\n"
)


async def test_it_goes_on_in_a_label_until_that_takes_it() -> None:
    """Its receipt settles then, and the ledger knows both routes."""
    clock, settled = ManualClock(), list[bool]()
    async with pipeline(ELSEWHERE, Elsewhere, Mark, clock=clock) as running:
        hold, collector = running.plugin(Elsewhere), running.collector("l")
        receipt = Receipt(lambda: settled.append(True))
        collector.refuse = BufferFull("no room")
        await running.feed("a", {"say": "held"}, {"say": "go on"}, receipt=receipt)
        receipt.release()
        async with asyncio.TaskGroup() as group:
            group.create_task(hold.let_go())
            await settle()
            assert not settled
            collector.refuse = None
            await clock.advance(0.5)
        assert settled == [True]
        assert running.records() == [{"say": "go on"}]
        assert running.records(name="l") == [{"say": "held", "seen": 1}]
    lines = {line.name: (line.emitted, line.passed, line.refused) for line in running.graph.ledger().routes}
    assert lines["@ROOT"] == (2, 2, 0)
    assert lines["@L"] == (2, 1, 1)


async def test_what_fails_again_in_a_label_after_error_is_a_dead_letter() -> None:
    """As behind the filter; and the ledger adds up."""
    text = f"{ELSEWHERE}<label @ERROR>\n<match **>\n@type relabel\n@label @ROOT\n</match>\n</label>\n"
    async with pipeline(text, Elsewhere, Mark) as running:
        running.collector("l").refuse = ValueError("never")
        receipt = Receipt(lambda: None, came_through_error=True)
        await running.feed("a", {"say": "held"}, receipt=receipt)
        receipt.release()
        await running.plugin(Elsewhere).let_go()
        await running.wait_for(running.dead_letters)


async def test_a_label_that_is_not_there() -> None:
    """It is an error of the configuration, with its place."""
    with pytest.raises(ConfigError, match='label "@L" is not defined'):
        async with pipeline("<filter **>\n@type elsewhere\n</filter>\n", Elsewhere):
            pass


class Anew(Output[Options], type="anew"):
    """Emits what it gets as if it were its own."""

    async def process(self, batch: EventBatch) -> None:
        await self.host.emit(EventBatch(batch.tag, batch.times, batch.records))


class Never(Filter[Options], type="never"):
    """Takes no event."""

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        raise ValueError(f"{tag} at {time}: {record}")


async def test_what_has_come_through_error_is_known_to_have() -> None:
    """Also behind another label, and where its receipt is lost on the way: it does not come to `@ERROR` again."""
    text = (
        f"{OWN_LOG}<filter a>\n@type never\n</filter>\n"
        "<label @ERROR>\n<match **>\n@type relabel\n@label @L\n</match>\n</label>\n"
        "<label @L>\n<filter **>\n@type hold\n</filter>\n"
        "<match a>\n@type anew\n@label @M\n</match>\n</label>\n"
        "<label @M>\n<filter **>\n@type never\n</filter>\n<match **>\n@type test\n</match>\n</label>\n"
    )
    async with pipeline(text, *PLUGINS, Anew, Never) as running:
        await running.feed("a", {"say": "held"})
        await running.wait_for(running.plugin(Hold).held)
        await running.plugin(Hold).let_go()
        await running.wait_for(running.dead_letters)
        assert running.plugin(Hold).processed == 1


async def test_what_fails_behind_another_label_than_error() -> None:
    """It is known by its receipt, and a dead letter as in `@ERROR` itself."""
    text = (
        f"{OWN_LOG}<filter a>\n@type never\n</filter>\n"
        "<label @ERROR>\n<match **>\n@type relabel\n@label @L\n</match>\n</label>\n"
        "<label @L>\n<filter **>\n@type hold\n</filter>\n<match a>\n@type refusing\n</match>\n</label>\n"
    )
    async with pipeline(text, *PLUGINS, Never, Refusing) as running:
        await running.feed("a", {"say": "held"})
        await running.wait_for(running.plugin(Hold).held)
        await running.plugin(Hold).let_go()
        await running.wait_for(running.dead_letters)


class Refusing(Output[Options], type="refusing"):
    """Takes nothing."""

    async def process(self, batch: EventBatch) -> None:
        raise ValueError(f"{len(batch)} events")


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
